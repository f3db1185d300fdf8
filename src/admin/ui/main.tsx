/** Where the page begins: which role it belongs to, and whether it may talk to it. */
document.getElementById("app")!.textContent = document.documentElement.dataset.role ?? "";
