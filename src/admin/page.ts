/** The page at `/`. It tells where the commands are; the dashboard takes its place. */

export function renderPage(role: "tracker" | "peer"): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>p2pfs ${role}</title>
<h1>This p2pfs ${role} is running</h1>
<p>Its commands: <code>p2pfs ${role} --help</code></p>
<p>Its API is described at <code>/api/openapi.json</code>, which takes the token of the data folder's
<code>admin.json</code> as <code>Authorization: Bearer</code>.</p>
</html>
`;
}
