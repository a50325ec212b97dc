"use strict";
// Draws the reference of the programming interface; a key that is typed in stays in this page.
const place = document.getElementById("reference");
window.SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
});
