"""The stock side: the very flow of flows/order_confirmation.py under `flow.serve()`, default settings."""

from typing import get_type_hints

from flows.order_confirmation import order_confirmation

if __name__ == "__main__":
    # serve() pickles the function with the globals its body names, so annotations must be no text.
    order_confirmation.fn.__annotations__ = get_type_hints(order_confirmation.fn)
    order_confirmation.serve(name="stock")
