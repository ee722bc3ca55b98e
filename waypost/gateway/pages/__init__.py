"""The pages of recipients: they unsubscribe and choose there. No API and no API key is behind them."""
