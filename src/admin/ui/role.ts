/** The role of this page, as the role wrote it into the HTML. */

export type Role = "tracker" | "peer";

export const role: Role = document.documentElement.dataset.role === "tracker" ? "tracker" : "peer";
