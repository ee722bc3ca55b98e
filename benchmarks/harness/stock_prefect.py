"""The stock side: the very flow of flows/order_confirmation.py under `flow.serve()`, default settings."""

from flows.order_confirmation import order_confirmation

if __name__ == "__main__":
    order_confirmation.serve(name="stock")
