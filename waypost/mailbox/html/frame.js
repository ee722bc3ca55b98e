// The frame is as high as the mail in it.
const frame = document.querySelector("iframe");
const fit = () => {
  frame.style.height = "0";
  frame.style.height = frame.contentDocument.documentElement.scrollHeight + "px";
};
frame.addEventListener("load", fit);
window.addEventListener("resize", fit);
if (frame.contentDocument.readyState === "complete") fit();
