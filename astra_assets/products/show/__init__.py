"""What people look at beside a product: its page, pictures and a preview."""
