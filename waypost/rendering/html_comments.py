"""Comments of HTML and MJML."""

import re

# An unclosed comment goes to the end: else many of them would cost the square of their number.
HTML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
