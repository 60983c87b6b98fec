"""Models of Hugging Face transformers: text, image and audio."""
