#include "text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ponder::jinja {
namespace {

// A key longer than this is refused rather than written out: tuples within tuples that share parts
// grow exponentially.
constexpr size_t kMaxKeyBytes = size_t{4} << 20;

bool append_number_key(std::string& out, double number) {
  if (number == std::floor(number) && std::abs(number) < 9e18) {
    out += 'i' + std::to_string(static_cast<int64_t>(number));
  } else {
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    out += 'f';
    out.append(bytes, sizeof bytes);
  }
  return true;
}

bool equal_lists(const List& a, const List& b, Meter& meter) {
  using Flavour = List::Flavour;
  const bool alike = a.flavour == b.flavour || (a.is_tuple() && b.is_tuple());
  if (!alike || a.flavour == Flavour::kGenerator || a.flavour == Flavour::kValues) return &a == &b;
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(a.items[i], b.items[i], meter)) return false;
  }
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b, Meter& meter) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(value, *other, meter)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  return a.size() == b.size() && (a.size() == 0 || a.start == b.start) &&
         (a.size() < 2 || a.step == b.step);
}

}  // namespace

Status Meter::status() const {
  if (out_of_steps_) {
    return ponder::exhausted("the template takes more steps than the limit allows (does it loop?)");
  }
  if (out_of_memory_)
    return ponder::exhausted("the template's values take more memory than the limit");
  return {};
}

Value Value::undefined(std::string message) {
  Value v;
  v.kind_ = Kind::kUndefined;
  v.ref_ = std::make_shared<const Text>(std::move(message), nullptr, false);
  return v;
}

Value Value::boolean(bool value) {
  Value v;
  v.kind_ = Kind::kBool;
  v.number_.i = value ? 1 : 0;
  return v;
}

Value Value::integer(int64_t value) {
  Value v;
  v.kind_ = Kind::kInt;
  v.number_.i = value;
  return v;
}

Value Value::big_integer(std::string digits) {
  Value v;
  v.kind_ = Kind::kBigInt;
  v.ref_ = std::make_shared<const Text>(std::move(digits), nullptr, false);
  return v;
}

Value Value::real(double value) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.number_.d = value;
  return v;
}

Value Value::string(std::string text, Meter* meter, bool safe) {
  Value v;
  v.kind_ = Kind::kString;
  v.ref_ = std::make_shared<const Text>(std::move(text), meter, safe);
  return v;
}

Value Value::range(int64_t start, int64_t stop, int64_t step) {
  Value v;
  v.kind_ = Kind::kRange;
  v.ref_ = std::make_shared<const Range>(Range{start, stop, step});
  return v;
}

Value Value::object(Object* object) {
  Value v;
  v.kind_ = Kind::kObject;
  v.number_.o = object;
  return v;
}

Value Value::list(std::shared_ptr<const List> list) {
  Value v;
  v.kind_ = Kind::kList;
  v.ref_ = std::move(list);
  return v;
}

Value Value::dict(std::shared_ptr<const Dict> dict) {
  Value v;
  v.kind_ = Kind::kDict;
  v.ref_ = std::move(dict);
  return v;
}

bool Value::is_safe() const { return is_string() && static_cast<const Text*>(ref_.get())->safe; }

double Value::as_double() const {
  return kind_ == Kind::kFloat ? number_.d : static_cast<double>(number_.i);
}

const std::string& Value::text() const { return static_cast<const Text*>(ref_.get())->bytes; }
const List& Value::as_list() const { return *static_cast<const List*>(ref_.get()); }
const Dict& Value::as_dict() const { return *static_cast<const Dict*>(ref_.get()); }
const Range& Value::as_range() const { return *static_cast<const Range*>(ref_.get()); }

bool Value::truthy() const {
  switch (kind_) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return number_.i != 0;
    case Kind::kFloat:
      return number_.d != 0;
    case Kind::kString:
      return !text().empty();
    case Kind::kList:
      return as_list().flavour == List::Flavour::kGenerator || !as_list().items.empty();
    case Kind::kDict:
      return as_dict().size() != 0;
    case Kind::kRange:
      return as_range().size() != 0;
    case Kind::kBigInt:
    case Kind::kObject:
      return true;
  }
  return true;
}

int Value::depth() const { return is_list() ? as_list().depth : is_dict() ? as_dict().depth() : 0; }

std::string Value::type_name() const {
  switch (kind_) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return is_safe() ? "Markup" : "str";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kObject:
      return number_.o->type_name();
    case Kind::kList:
      break;
  }
  switch (as_list().flavour) {
    case List::Flavour::kList:
      return "list";
    case List::Flavour::kTuple:
      return "tuple";
    case List::Flavour::kGroup:
      return "_GroupTuple";
    case List::Flavour::kGenerator:
      return "generator";
    case List::Flavour::kKeys:
      return "dict_keys";
    case List::Flavour::kValues:
      return "dict_values";
    case List::Flavour::kItems:
      return "dict_items";
  }
  return "list";
}

List::List(std::vector<Value> values, Flavour kind, Meter* meter)
    : items(std::move(values)),
      flavour(kind),
      depth(1),
      held(meter, items.capacity() * sizeof(Value) + sizeof(List)) {
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
}

int64_t Range::size() const {
  // In unsigned arithmetic the distance never overflows.
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const auto from = static_cast<uint64_t>(start), to = static_cast<uint64_t>(stop);
  const uint64_t distance = step > 0 ? to - from : from - to;
  const uint64_t stride =
      step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = (distance - 1) / stride + 1;
  return static_cast<int64_t>(std::min<uint64_t>(count, INT64_MAX));
}

Dict::Dict(const Dict& other)
    : meter_(other.meter_),
      held_(other.held_),
      depth_(other.depth_),
      entries_(other.entries_),
      index_(other.index_) {
  if (meter_ != nullptr) meter_->hold(held_);
}

Dict::~Dict() {
  if (meter_ != nullptr) meter_->release(held_);
}

const Value* Dict::find(std::string_view key) const {
  std::string canonical = "s";
  canonical += key;
  const auto found = index_.find(canonical);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(const Value& key) const {
  std::string canonical;
  if (!append_key(canonical, key)) return nullptr;
  const auto found = index_.find(canonical);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

bool Dict::set(const Value& key, Value value) {
  std::string canonical;
  if (!append_key(canonical, key)) return false;
  depth_ = std::max({depth_, value.depth() + 1, key.depth() + 1});
  const size_t bytes = canonical.capacity() + 2 * sizeof(Value) + 64;  // 64: a node of the map
  const auto [at, added] = index_.emplace(std::move(canonical), entries_.size());
  if (!added) {
    entries_[at->second].second = std::move(value);
    return true;
  }
  entries_.emplace_back(key, std::move(value));
  held_ += bytes;
  if (meter_ != nullptr) meter_->hold(bytes);
  return true;
}

bool append_key(std::string& out, const Value& key) {
  switch (key.kind()) {
    case Kind::kUndefined:
      out += 'u';
      return true;
    case Kind::kNone:
      out += 'n';
      return true;
    case Kind::kBool:
    case Kind::kInt:
      out += 'i' + std::to_string(key.as_int());
      return true;
    case Kind::kBigInt:
      out += 'i' + key.text();
      return true;
    case Kind::kFloat:
      return append_number_key(out, key.as_double());
    case Kind::kString:
      out += 's';
      out += key.text();
      return true;
    case Kind::kRange:
    case Kind::kObject:
      out += 'o' + std::to_string(reinterpret_cast<uintptr_t>(
                       key.is(Kind::kObject) ? key.as_object() : key.ref().get()));
      return true;
    case Kind::kDict:
      return false;
    case Kind::kList:
      break;
  }
  if (!key.as_list().is_tuple()) return false;
  out += 't' + std::to_string(key.as_list().items.size()) + ':';
  for (const Value& item : key.as_list().items) {
    std::string part;
    if (!append_key(part, item) || out.size() + part.size() > kMaxKeyBytes) return false;
    out += std::to_string(part.size()) + ':' + part;
  }
  return true;
}

bool equal(const Value& a, const Value& b, Meter& meter) {
  if (!meter.spend(1)) return false;
  if (a.is_number() && b.is_number()) {
    return a.is_integral() && b.is_integral() ? a.as_int() == b.as_int()
                                              : a.as_double() == b.as_double();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
    case Kind::kBigInt:
      return meter.spend(a.text().size() / 64) && a.text() == b.text();
    case Kind::kList:
      return a.ref() == b.ref() || equal_lists(a.as_list(), b.as_list(), meter);
    case Kind::kDict:
      return a.ref() == b.ref() || equal_dicts(a.as_dict(), b.as_dict(), meter);
    case Kind::kRange:
      return equal_ranges(a.as_range(), b.as_range());
    case Kind::kObject:
      return a.as_object() == b.as_object();
    default:
      return false;
  }
}

}  // namespace ponder::jinja
