// Functions in Node: one that says how it was asked, one that is too slow, one that raises.
exports.echo = async (event) => {
  if (event.rawPath === "/echo/plain") return { items: [1, 2] };
  const said = {
    path: event.rawPath,
    query: event.rawQueryString,
    cookies: event.cookies,
    two: event.headers["x-two"],
    ip: event.requestContext.http.sourceIp,
    body: event.body,
  };
  const binary = event.isBase64Encoded;
  return {
    statusCode: 200,
    headers: { "content-type": binary ? "application/octet-stream" : "application/json" },
    cookies: ["a=1; Path=/", "b=2; HttpOnly"],
    body: binary ? event.body : JSON.stringify(said),
    isBase64Encoded: binary,
  };
};
exports.slow = async () => new Promise((resolve) => setTimeout(resolve, 5000));
exports.raises = async () => {
  throw new Error("secret");
};
