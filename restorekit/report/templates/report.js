for (const range of document.querySelectorAll(".stage input")) {
  const show = () => range.parentElement.style.setProperty("--cut", range.value + "%");
  range.addEventListener("input", show);
  show();
}
