#include "engine/schema_keywords.h"

#include <map>

#include "engine/schema_set.h"

namespace ponder {

SchemaKeywordInfo schema_keyword(std::string_view name) {
  using Kind = SchemaKeyword;
  using Shape = SchemaShape;
  using namespace json_type;
  static const std::map<std::string_view, SchemaKeywordInfo> table = {
      {"type", {Kind::kUsed}},
      {"enum", {Kind::kUsed, 0, Shape::kList}},
      {"const", {Kind::kUsed}},
      {"anyOf", {Kind::kUsed, 0, Shape::kList}},
      {"oneOf", {Kind::kUsed, 0, Shape::kList}},
      {"allOf", {Kind::kUsed, 0, Shape::kList}},
      {"$ref", {Kind::kUsed}},
      {"properties", {Kind::kUsed, kObject, Shape::kObject}},
      {"required", {Kind::kUsed, kObject, Shape::kNames}},
      {"additionalProperties", {Kind::kUsed, kObject}},
      {"patternProperties", {Kind::kUsed, kObject, Shape::kObject}},
      {"propertyNames", {Kind::kUsed, kObject}},
      {"minProperties", {Kind::kUsed, kObject}},
      {"maxProperties", {Kind::kUsed, kObject}},
      {"items", {Kind::kUsed, kArray}},
      {"prefixItems", {Kind::kUsed, kArray, Shape::kList}},
      {"additionalItems", {Kind::kUsed, kArray}},
      {"minItems", {Kind::kUsed, kArray}},
      {"maxItems", {Kind::kUsed, kArray}},
      {"uniqueItems", {Kind::kUsed, kArray}},
      {"minLength", {Kind::kUsed, kString}},
      {"maxLength", {Kind::kUsed, kString}},
      {"pattern", {Kind::kUsed, kString}},
      {"format", {Kind::kUsed}},
      {"minimum", {Kind::kUsed, kNumber}},
      {"maximum", {Kind::kUsed, kNumber}},
      {"exclusiveMinimum", {Kind::kUsed, kNumber}},
      {"exclusiveMaximum", {Kind::kUsed, kNumber}},
      {"multipleOf", {Kind::kUsed, kNumber}},
      {"$schema", {Kind::kAnnotation}},
      {"$id", {Kind::kAnnotation}},
      {"$anchor", {Kind::kAnnotation}},
      {"$comment", {Kind::kAnnotation}},
      {"$defs", {Kind::kAnnotation}},
      {"definitions", {Kind::kAnnotation}},
      {"title", {Kind::kAnnotation}},
      {"description", {Kind::kAnnotation}},
      {"default", {Kind::kAnnotation}},
      {"example", {Kind::kAnnotation}},
      {"examples", {Kind::kAnnotation}},
      {"deprecated", {Kind::kAnnotation}},
      {"readOnly", {Kind::kAnnotation}},
      {"writeOnly", {Kind::kAnnotation}},
      {"contentEncoding", {Kind::kAnnotation}},
      {"contentMediaType", {Kind::kAnnotation}},
      {"contentSchema", {Kind::kAnnotation}},
      {"discriminator", {Kind::kAnnotation}},
      {"externalDocs", {Kind::kAnnotation}},
      {"xml", {Kind::kAnnotation}},
      {"not", {Kind::kRefused}},
      {"if", {Kind::kRefused}},
      {"then", {Kind::kRefused}},
      {"else", {Kind::kRefused}},
      {"contains", {Kind::kRefused}},
      {"minContains", {Kind::kRefused}},
      {"maxContains", {Kind::kRefused}},
      {"dependencies", {Kind::kRefused}},
      {"dependentRequired", {Kind::kRefused}},
      {"dependentSchemas", {Kind::kRefused}},
      {"unevaluatedItems", {Kind::kRefused}},
      {"unevaluatedProperties", {Kind::kRefused}},
      {"$dynamicRef", {Kind::kRefused}},
      {"$dynamicAnchor", {Kind::kRefused}},
      {"$recursiveRef", {Kind::kRefused}},
      {"$recursiveAnchor", {Kind::kRefused}},
      {"$vocabulary", {Kind::kRefused}},
      {"nullable", {Kind::kRefused}},
  };
  if (name.starts_with("x-")) return {Kind::kAnnotation};
  const auto at = table.find(name);
  return at == table.end() ? SchemaKeywordInfo{} : at->second;
}

}  // namespace ponder
