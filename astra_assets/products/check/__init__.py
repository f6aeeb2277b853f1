"""What is checked of a product before its files get their names, without the code that wrote them."""
