const main = document.querySelector("#app");
main.textContent = `${main.dataset.app} speaks ${main.dataset.language}`;
parent.postMessage({ ready: main.dataset.page }, "*");
