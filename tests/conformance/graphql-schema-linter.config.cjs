// All rules of graphql-schema-linter but two:
//   type-fields-sorted-alphabetically: fields stand as they are read: the id, keys, content, times, nested records.
//   relay-page-info-spec: lists are the pages that the wire contract fixes; there are no Relay connections.
module.exports = {
  rules: [
    'arguments-have-descriptions',
    'defined-types-are-used',
    'deprecations-have-a-reason',
    'descriptions-are-capitalized',
    'enum-values-all-caps',
    'enum-values-have-descriptions',
    'enum-values-sorted-alphabetically',
    'fields-are-camel-cased',
    'fields-have-descriptions',
    'input-object-fields-sorted-alphabetically',
    'input-object-values-are-camel-cased',
    'input-object-values-have-descriptions',
    'interface-fields-sorted-alphabetically',
    'relay-connection-arguments-spec',
    'relay-connection-types-spec',
    'types-are-capitalized',
    'types-have-descriptions',
  ],
};
