// Filters on lists and dicts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "text/jinja_filters.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_unicode.h"

namespace ponder::jinja {
namespace {

using Flavour = List::Flavour;

Result<int64_t> count_argument(const std::optional<Value>& value, const char* filter) {
  if (value && value->is_integral() && value->as_int() > 0) return value->as_int();
  return invalid(fmt::format("{} wants a positive integer", filter));
}

// An attribute as filters take it: "a.b.0" walks down, a number is an index.
class Path {
 public:
  explicit Path(const std::optional<Value>& attribute) {
    if (!attribute || attribute->is_none()) return;
    if (!attribute->is_string()) {
      parts_.push_back(*attribute);
      return;
    }
    std::string_view rest = attribute->text();
    while (true) {
      const size_t dot = std::min(rest.find('.'), rest.size());
      const std::string part(rest.substr(0, dot));
      int64_t index = 0;
      const auto end = std::from_chars(part.data(), part.data() + part.size(), index);
      const bool digits = !part.empty() && part[0] != '-' && end.ec == std::errc() &&
                          end.ptr == part.data() + part.size();
      parts_.push_back(digits ? Value::integer(index) : Value::string(part));
      if (dot == rest.size()) return;
      rest.remove_prefix(dot + 1);
    }
  }

  // fallback: what stands in for undefined values on the way, or null.
  Result<Value> of(Interpreter& in, Value value, const Value* fallback = nullptr) const {
    for (const Value& part : parts_) {
      ASSIGN_OR_RETURN(value, in.item(value, part));
      if (value.is_undefined() && fallback != nullptr) value = *fallback;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
};

// What items are compared by: an attribute, with strings in lower case unless case counts.
Result<Value> sort_key(Interpreter& in, const Value& item, const Path& path, bool case_sensitive,
                       const Value* fallback = nullptr) {
  ASSIGN_OR_RETURN(Value key, path.of(in, item, fallback));
  if (case_sensitive || !key.is_string()) return key;
  return in.text(to_lower(key.text()));
}

// A stable sort by keys; the first error of a comparison is the result.
Status sort_by(Interpreter& in, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  Status status;
  // Reversed, equal items still keep their order.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    if (!status.ok()) return false;
    const Result<bool> before = reverse ? less(in, b.first, a.first) : less(in, a.first, b.first);
    if (!before.ok()) status = before.status();
    return before.ok() && *before;
  });
  return status;
}

Result<Value> values_of(Interpreter& in, std::vector<std::pair<Value, Value>> keyed) {
  std::vector<Value> out;
  for (auto& [key, value] : keyed) out.push_back(std::move(value));
  return in.list(std::move(out));
}

Result<Value> sort(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound,
                   bind(args, "sort", {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::vector<Path> paths;  // of "a,b": first by a, then by b
  std::string_view rest;
  if (bound[2] && bound[2]->is_string()) rest = bound[2]->text();
  for (size_t comma = rest.find(','); comma != std::string_view::npos; comma = rest.find(',')) {
    paths.emplace_back(Value::string(std::string(rest.substr(0, comma))));
    rest.remove_prefix(comma + 1);
  }
  paths.emplace_back(paths.empty() ? bound[2] : Value::string(std::string(rest)));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items->items) {
    std::vector<Value> keys;
    for (const Path& path : paths) {
      ASSIGN_OR_RETURN(Value key, sort_key(in, item, path, bound[1] && bound[1]->truthy()));
      keys.push_back(std::move(key));
    }
    ASSIGN_OR_RETURN(Value key, in.list(std::move(keys)));
    keyed.emplace_back(std::move(key), item);
  }
  RETURN_IF_ERROR(sort_by(in, keyed, bound[0] && bound[0]->truthy()));
  return values_of(in, std::move(keyed));
}

Result<Value> dictsort(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "dictsort", {"case_sensitive", "by", "reverse"}));
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is_dict()) {
    return invalid(fmt::format("dictsort wants a dict, not a {}", input.type_name()));
  }
  const std::string by = bound[1] && bound[1]->is_string() ? bound[1]->text() : "key";
  if (by != "key" && by != "value") return invalid("dictsort: by is \"key\" or \"value\"");
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : input.as_dict().entries()) {
    ASSIGN_OR_RETURN(Value pair, in.list({key, value}, Flavour::kTuple));
    ASSIGN_OR_RETURN(Value order, sort_key(in, by == "key" ? key : value, Path(std::nullopt),
                                           bound[0] && bound[0]->truthy()));
    keyed.emplace_back(std::move(order), std::move(pair));
  }
  RETURN_IF_ERROR(sort_by(in, keyed, bound[2] && bound[2]->truthy()));
  return values_of(in, std::move(keyed));
}

Result<Value> groupby(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound,
                   bind(args, "groupby", {"attribute", "default", "case_sensitive"}, 1));
  const bool case_sensitive = bound[2] && bound[2]->truthy();
  const Path path(bound[0]);
  const Value* const fallback = bound[1] && !bound[1]->is_none() ? &*bound[1] : nullptr;
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items->items) {
    ASSIGN_OR_RETURN(Value key, sort_key(in, item, path, case_sensitive, fallback));
    keyed.emplace_back(std::move(key), item);
  }
  RETURN_IF_ERROR(sort_by(in, keyed, false));
  std::vector<Value> groups;
  for (size_t at = 0; at < keyed.size();) {
    const size_t first = at;
    std::vector<Value> members;
    do {
      members.push_back(keyed[at++].second);
    } while (at < keyed.size() && equal(keyed[first].first, keyed[at].first, in.meter()));
    ASSIGN_OR_RETURN(Value name, path.of(in, members[0], fallback));
    ASSIGN_OR_RETURN(Value list, in.list(std::move(members)));
    ASSIGN_OR_RETURN(Value group, in.list({std::move(name), std::move(list)}, Flavour::kGroup));
    groups.push_back(std::move(group));
  }
  return in.list(std::move(groups));
}

Result<Value> unique(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "unique", {"case_sensitive", "attribute"}));
  const Path path(bound[1]);
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::set<std::string> seen;
  std::vector<Value> out;
  for (const Value& item : items->items) {
    ASSIGN_OR_RETURN(const Value key, sort_key(in, item, path, bound[0] && bound[0]->truthy()));
    std::string canonical;
    if (!append_key(canonical, key)) {
      return invalid(fmt::format("unique: a {} cannot be hashed", key.type_name()));
    }
    if (!in.meter().spend(1 + canonical.size() / 64)) return in.meter().status();
    if (seen.insert(std::move(canonical)).second) out.push_back(item);
  }
  return in.list(std::move(out), Flavour::kGenerator);
}

template <bool kLargest>
Result<Value> extreme(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "min", {"case_sensitive", "attribute"}));
  const Path path(bound[1]);
  const bool case_sensitive = bound[0] && bound[0]->truthy();
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  if (items->items.empty()) {
    return Value::undefined("No aggregated item, sequence was empty.");
  }
  Value best = items->items[0];
  ASSIGN_OR_RETURN(Value best_key, sort_key(in, best, path, case_sensitive));
  for (size_t i = 1; i < items->items.size(); ++i) {
    ASSIGN_OR_RETURN(Value key, sort_key(in, items->items[i], path, case_sensitive));
    ASSIGN_OR_RETURN(const bool better,
                     kLargest ? less(in, best_key, key) : less(in, key, best_key));
    if (!better) continue;
    best = items->items[i];
    best_key = std::move(key);
  }
  return best;
}

Result<Value> sum(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "sum", {"attribute", "start"}));
  const Path path(bound[0]);
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  Value total = bound[1] ? *bound[1] : Value::integer(0);
  if (total.is_string()) return invalid("sum: strings are put together with join");
  for (const Value& item : items->items) {
    ASSIGN_OR_RETURN(const Value value, path.of(in, item));
    ASSIGN_OR_RETURN(total, arithmetic(in, Op::kAdd, total, value));
  }
  return total;
}

Result<Value> fallback(Interpreter&, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "default", {"default_value", "boolean"}));
  const bool replace = input.is_undefined() || (bound[1] && bound[1]->truthy() && !input.truthy());
  if (!replace) return input;
  return bound[0] ? *bound[0] : Value::string("");
}

Result<Value> count(Interpreter&, const Value& input, Args&) {
  ASSIGN_OR_RETURN(const int64_t size, length(input));
  return Value::integer(size);
}

Result<Value> first(Interpreter& in, const Value& input, Args&) {
  if (input.is_list()) {  // a generator gives its next item
    const List& list = input.as_list();
    if (list.next >= list.items.size()) {
      return Value::undefined("No first item, sequence was empty.");
    }
    return list.items[list.flavour == Flavour::kGenerator ? list.next++ : 0];
  }
  if (input.is_string() && !input.text().empty()) return in.item(input, Value::integer(0));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  if (items->items.empty()) return Value::undefined("No first item, sequence was empty.");
  return items->items.front();
}

Result<Value> last(Interpreter& in, const Value& input, Args&) {
  if (input.is_string() && !input.text().empty()) return in.item(input, Value::integer(-1));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  if (items->items.empty()) return Value::undefined("No last item, sequence was empty.");
  return items->items.back();
}

Result<Value> list(Interpreter& in, const Value& input, Args&) {
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  return in.list(items->items);
}

Result<Value> reverse(Interpreter& in, const Value& input, Args&) {
  if (input.is_string()) return slice(in, input, Value(), Value(), Value::integer(-1));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::vector<Value> out(items->items.rbegin(), items->items.rend());
  const bool was_generator = input.is_list() && input.as_list().flavour == Flavour::kGenerator;
  return in.list(std::move(out), was_generator ? Flavour::kList : Flavour::kGenerator);
}

Result<Value> join(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "join", {"d", "attribute"}));
  ASSIGN_OR_RETURN(const std::string between, in.str(bound[0] ? *bound[0] : Value::string("")));
  const Path path(bound[1]);
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    ASSIGN_OR_RETURN(const Value value, path.of(in, items->items[i]));
    ASSIGN_OR_RETURN(const std::string part, in.str(value));
    if (!in.meter().room(out.size() + between.size() + part.size()) ||
        !in.meter().spend(1 + between.size() / 64)) {
      return in.meter().status();
    }
    if (i > 0) out += between;
    out += part;
  }
  return in.text(std::move(out));
}

Result<Value> items_of(Interpreter& in, const Value& input, Args&) {
  if (input.is_undefined()) return in.list({}, Flavour::kGenerator);
  if (!input.is_dict()) return invalid("items wants a dict, not a " + input.type_name());
  return dict_view(in, input, Flavour::kGenerator);
}

Result<Value> batch(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "batch", {"linecount", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t size, count_argument(bound[0], "batch"));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  const auto width = static_cast<size_t>(size);
  const std::vector<Value>& all = items->items;
  std::vector<Value> out;
  for (size_t at = 0; at < all.size();) {
    const size_t end = at + std::min(width, all.size() - at);
    std::vector<Value> row(all.begin() + static_cast<std::ptrdiff_t>(at),
                           all.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound[1] && !bound[1]->is_none() && row.size() < width) {
      if (width > SIZE_MAX / sizeof(Value) || !in.meter().fits(width * sizeof(Value))) {
        return exhausted("batch: the row takes more memory than the limit");
      }
      row.resize(width, *bound[1]);
    }
    ASSIGN_OR_RETURN(Value made, in.list(std::move(row)));
    out.push_back(std::move(made));
    at = end;
  }
  return in.list(std::move(out), Flavour::kGenerator);
}

Result<Value> slices(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "slice", {"slices", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t wanted, count_argument(bound[0], "slice"));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  const auto columns = static_cast<size_t>(wanted);
  if (columns > SIZE_MAX / 256 || !in.meter().fits(columns * 256)) {
    return exhausted("slice: the columns take more memory than the limit");
  }
  const size_t each = items->items.size() / columns, longer = items->items.size() % columns;
  std::vector<Value> out;
  size_t at = 0;
  for (size_t i = 0; i < columns; ++i) {
    const size_t end = at + each + (i < longer ? 1 : 0);
    std::vector<Value> column(items->items.begin() + static_cast<std::ptrdiff_t>(at),
                              items->items.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound[1] && !bound[1]->is_none() && i >= longer) column.push_back(*bound[1]);
    ASSIGN_OR_RETURN(Value made, in.list(std::move(column)));
    out.push_back(std::move(made));
    at = end;
  }
  return in.list(std::move(out), Flavour::kGenerator);
}

Result<Value> attr(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "attr", {"name"}, 1));
  ASSIGN_OR_RETURN(const std::string name, in.str(*bound[0]));
  if (input.is_dict() && !has_method(input, name)) {  // attributes alone, no keys
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return in.attribute(input, name);
}

Result<Value> map(Interpreter& in, const Value& input, Args& args) {
  if (!input.truthy()) return in.list({}, Flavour::kGenerator);
  const bool by_attribute = args.positional.empty() &&
                            std::any_of(args.named.begin(), args.named.end(),
                                        [](auto& entry) { return entry.first == "attribute"; });
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::vector<Value> out;
  if (by_attribute) {
    ASSIGN_OR_RETURN(const Bound bound, bind(args, "map", {"attribute", "default"}));
    const Path path(bound[0]);
    const Value* const stand_in = bound[1] && !bound[1]->is_none() ? &*bound[1] : nullptr;
    for (const Value& item : items->items) {
      ASSIGN_OR_RETURN(Value value, path.of(in, item, stand_in));
      out.push_back(std::move(value));
    }
    return in.list(std::move(out), Flavour::kGenerator);
  }
  if (args.positional.empty() || !args.positional[0].is_string()) {
    return invalid("map wants the name of a filter, or attribute=");
  }
  const std::string name = args.positional[0].text();
  Args rest = std::move(args);
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : items->items) {
    if (!in.meter().spend(rest.positional.size() + rest.named.size())) return in.meter().status();
    Args each = rest;
    ASSIGN_OR_RETURN(Value value, in.apply_filter(name, item, each));
    out.push_back(std::move(value));
  }
  return in.list(std::move(out), Flavour::kGenerator);
}

// select, reject, selectattr and rejectattr: items by a test of themselves or of an attribute.
template <bool kWanted, bool kByAttribute>
Result<Value> choose(Interpreter& in, const Value& input, Args& args) {
  if (!input.truthy()) return in.list({}, Flavour::kGenerator);
  if (kByAttribute && args.positional.empty()) return invalid("selectattr wants an attribute");
  const Path path(kByAttribute ? std::optional(args.positional[0]) : std::nullopt);
  const size_t at = kByAttribute ? 1 : 0;
  const bool has_test = args.positional.size() > at;
  if (has_test && !args.positional[at].is_string()) {
    return invalid("select wants the name of a test");
  }
  const std::string name = has_test ? args.positional[at].text() : "";
  Args rest = std::move(args);
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(at + has_test));
  ASSIGN_OR_RETURN(const auto items, in.items(input));
  std::vector<Value> out;
  for (const Value& item : items->items) {
    if (!in.meter().spend(rest.positional.size() + 1)) return in.meter().status();
    ASSIGN_OR_RETURN(const Value value, path.of(in, item));
    bool holds = value.truthy();
    if (has_test) {
      Args each = rest;
      ASSIGN_OR_RETURN(holds, in.apply_test(name, value, each));
    }
    if (holds == kWanted) out.push_back(item);
  }
  return in.list(std::move(out), Flavour::kGenerator);
}

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, FilterFunction> table = {
      {"attr", attr},
      {"batch", batch},
      {"count", bare<count>},
      {"d", fallback},
      {"default", fallback},
      {"dictsort", dictsort},
      {"first", bare<first>},
      {"groupby", groupby},
      {"items", bare<items_of>},
      {"join", join},
      {"last", bare<last>},
      {"length", bare<count>},
      {"list", bare<list>},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", choose<false, false>},
      {"rejectattr", choose<false, true>},
      {"reverse", bare<reverse>},
      {"select", choose<true, false>},
      {"selectattr", choose<true, true>},
      {"slice", slices},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  };
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace ponder::jinja
