"""Scene of a camera: standing objects, places with recurring motion, and their record."""
