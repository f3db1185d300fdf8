/** Which role's page this is, as the role itself says. */

export type Role = "tracker" | "peer";

export const role: Role = document.documentElement.dataset.role === "tracker" ? "tracker" : "peer";
