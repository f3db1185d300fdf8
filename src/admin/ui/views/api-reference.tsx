/** The API reference, from the role's OpenAPI description. */
import { send } from "../api.ts";
import { useLoaded } from "../hooks.ts";
import { Card, CopyButton, Failure, Loading } from "../parts/basics.tsx";

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly additionalProperties?: Schema;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export function ApiView() {
  const description = useLoaded(async () => {
    const response = await send("/api/openapi.json");
    return (await response.json()) as Description;
  }, []);
  if (description.value === undefined)
    return description.error === undefined ? (
      <Loading lines={8} />
    ) : (
      <Failure error={description.error} retry={description.reload} />
    );
  const operations = Object.entries(description.value.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const tagged = (tag: string) => operations.filter(({ operation }) => operation.tags.includes(tag));
  return (
    <div class="view-body">
      <p class="lead-note">
        Everything on this page is a route that scripts can call as well, with the token of <code>admin.json</code> as{" "}
        <code>Authorization: Bearer</code>. The same as OpenAPI 3.1: <code>/api/openapi.json</code>. For Prometheus:{" "}
        <code>/metrics</code>; for whoever watches the role: <code>/healthz</code>, <code>/readyz</code>.
      </p>
      <Card title="Commands" flush>
        {tagged("command").map((each) => (
          <OperationView key={each.operation.operationId} {...each} />
        ))}
      </Card>
      <Card title="Views of the page" flush>
        {tagged("view").map((each) => (
          <OperationView key={each.operation.operationId} {...each} />
        ))}
      </Card>
    </div>
  );
}

function OperationView({ path, method, operation }: { path: string; method: string; operation: Operation }) {
  const [bodyType, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const [answerType, answer] = Object.entries(operation.responses["200"]?.content ?? {})[0] ?? [];
  const curl = `curl -H "Authorization: Bearer $TOKEN"${method === "GET" ? "" : ` -X ${method}`}${
    body === undefined ? "" : " -H 'Content-Type: application/json' -d '{…}'"
  } ${location.origin}${path}`;
  return (
    <details class="operation">
      <summary>
        <span class={`method ${method.toLowerCase()}`}>{method}</span>
        <code>{path}</code>
        <span class="operation-summary">{operation.summary}</span>
      </summary>
      <div class="operation-body">
        <div class="command-line">
          <code>{curl}</code>
          <CopyButton text={curl} label="Copy the curl command" />
        </div>
        {(operation.parameters ?? []).length > 0 && (
          <>
            <h3 class="h6">Parameters</h3>
            <ul class="plain">
              {operation.parameters!.map(({ name, in: place, required, schema }) => (
                <li>
                  <code>{name}</code>{" "}
                  <span class="text-secondary">{`${typeOf(schema)}, in the ${place}${required ? "" : ", optional"}`}</span>
                </li>
              ))}
            </ul>
          </>
        )}
        {body !== undefined && <SchemaView title={`Body, ${bodyType}`} schema={body.schema} />}
        {answer !== undefined && <SchemaView title={`Answer, ${answerType}`} schema={answer.schema} />}
      </div>
    </details>
  );
}

function SchemaView({ title, schema }: { title: string; schema: Schema }) {
  return (
    <>
      <h3 class="h6">{title}</h3>
      <pre class="schema" tabindex={0}>
        {typeOf(schema)}
      </pre>
    </>
  );
}

/** A schema in the notation of TypeScript types. */
function typeOf(schema: Schema, depth = 0): string {
  const indent = "  ".repeat(depth);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return [...new Set(choices.map((each) => typeOf(each, depth)))].join(" | ");
  if (schema.allOf !== undefined) return typeOf(schema.allOf[0]!, depth);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.properties !== undefined) {
    const lines = Object.entries(schema.properties).map(([name, property]) => {
      const mark = schema.required?.includes(name) ? "" : "?";
      return `${indent}  ${name}${mark}: ${typeOf(property, depth + 1)}`;
    });
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  if (schema.items !== undefined) return `${typeOf(schema.items, depth)}[]`;
  if (schema.additionalProperties !== undefined) return `{ [name]: ${typeOf(schema.additionalProperties, depth)} }`;
  return Array.isArray(schema.type) ? schema.type.join(" | ") : String(schema.type ?? "any");
}
