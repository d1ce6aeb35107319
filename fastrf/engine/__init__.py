"""The algebra: relations of axes, terms, dependencies, nominal numbers and the recipes that make them."""
