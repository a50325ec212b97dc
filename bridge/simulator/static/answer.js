// Carries the assertion on; without scripts the page's own button does.
document.querySelector("form").submit();
