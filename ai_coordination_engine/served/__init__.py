"""Tasks that are served to other systems: what each protocol needs of them."""
