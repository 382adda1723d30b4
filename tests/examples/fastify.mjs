// Fastify: only requests with a VALID token get past jeton(). It answers 401,
// 403, 429 or 503 itself; behind it, request.jeton says who asks.
//
//     npm install fastify; PORT=8000 node fastify.mjs
//     curl -H @- http://127.0.0.1:8000/orders     Authorization: Bearer ...
import Fastify from "fastify";
import { bearer, verify } from "./verify_http.mjs";

const jeton =
	(...scopes) =>
	async (request, reply) => {
		const { status, answer, fields } = await verify(
			bearer(request.raw.headersDistinct.authorization),
			...scopes,
		);
		const { code, detail } = answer;

		reply.headers(fields);
		if (status !== 200)
			return reply.code(status).send({ code, detail });
		request.jeton = answer;
	};

const app = Fastify();
app.decorateRequest("jeton", null);
app.get("/orders", { onRequest: jeton("orders:read") }, async (request) => ({
	id: request.jeton.id,
	owner: request.jeton.owner,
}));
await app.listen({ port: process.env.PORT ?? 8000, host: "127.0.0.1" });
console.log(`listening on ${app.server.address().port}`);
