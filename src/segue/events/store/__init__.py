"""The store of a camera: its runs, visits, events, images and clips, marks, and what receivers have got."""
