// Format of the scripts of the page: make javascript checks it, make format-javascript applies it.
export default { printWidth: 120 };
