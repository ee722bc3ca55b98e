"""The stock side: the flow of flows/order_confirmation.py under `flow.serve()`, with default settings."""

from waypost.flows.order_confirmation import order_confirmation

if __name__ == "__main__":
    order_confirmation.serve(name="stock")
