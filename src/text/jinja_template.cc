#include "text/jinja_template.h"

#include <charconv>

#include "io/json.h"
#include "text/jinja_interpreter.h"

namespace ponder::jinja {

Result<LocalTime> LocalTime::parse(std::string_view text) {
  LocalTime out;
  int* const fields[] = {&out.year, &out.month, &out.day, &out.hour, &out.minute, &out.second};
  constexpr int kSizes[] = {4, 2, 2, 2, 2, 2};
  constexpr int kMost[] = {9999, 12, 31, 23, 59, 59};
  constexpr char kAfter[] = {'-', '-', ' ', ':', ':', '\0'};
  const auto wrong = [&] {
    return invalid(in_quotes(text) + ": expected a local time such as 2025-01-20 12:34:56");
  };
  size_t at = 0;
  for (int i = 0; i < 6; ++i) {
    if (i == 3 && at == text.size()) break;
    if (i > 0 && (at >= text.size() || text[at++] != kAfter[i - 1])) return wrong();
    const std::string_view digits = text.substr(at, static_cast<size_t>(kSizes[i]));
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), *fields[i]);
    if (digits.size() != static_cast<size_t>(kSizes[i]) ||
        end.ptr != digits.data() + digits.size() || *fields[i] < (i < 3 ? 1 : 0) ||
        *fields[i] > kMost[i]) {
      return wrong();
    }
    at += digits.size();
    if (i == 2 && at < text.size() && text[at] == 'T') {  // ISO 8601's
      std::string spaced(text);
      spaced[at] = ' ';
      return parse(spaced);
    }
  }
  if (at != text.size()) return wrong();
  return out;
}

Result<Template> Template::parse(std::string_view source, const ParseLimits& limits) {
  ASSIGN_OR_RETURN(Ast ast, parse_template(source, limits));
  return Template(std::make_shared<const Ast>(std::move(ast)));
}

Result<std::string> Template::render(const Value& variables, const RenderOptions& options) const {
  if (!variables.is_dict()) {
    return invalid("a template's variables are an object, not a " + variables.type_name());
  }
  return Interpreter(*ast_, variables, options).run();
}

}  // namespace ponder::jinja
