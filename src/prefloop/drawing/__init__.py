"""Pictures and numbers on a page: SVG by hand, charts, how a number is written, and the style that pages share."""
