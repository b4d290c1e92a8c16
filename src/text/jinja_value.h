// The values that templates compute with: Python's, as far as chat templates meet them. Values are
// immutable and shared; only a namespace changes, and only while its template renders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace ponder::jinja {

// Lists and dicts within one another. All recursion over values is bounded by it.
inline constexpr int kMaxValueDepth = 100;

// What one rendering may still spend: steps of work and bytes of live values. Once a limit is
// passed it stays passed; the interpreter looks at every step.
class Meter {
 public:
  Meter(int64_t steps, size_t bytes) : steps_(steps), limit_(bytes) {}

  // Counts `work` units (an evaluated node, a compared item, 64 bytes of text); false: none left.
  bool spend(size_t work) {
    if (work > static_cast<size_t>(steps_)) {
      steps_ = 0;
      out_of_steps_ = true;
    } else {
      steps_ -= static_cast<int64_t>(work);
    }
    return !out_of_steps_;
  }
  // Whether `bytes` more would fit, asked before a value of that size is built.
  bool room(size_t bytes) {
    if (bytes > limit_ || used_ > limit_ - bytes) out_of_memory_ = true;
    return !exhausted();
  }
  // The same, and counts the work of writing them.
  bool fits(size_t bytes) { return room(bytes) && spend(bytes / 64); }
  void hold(size_t bytes) {
    used_ += bytes;
    if (used_ > limit_) out_of_memory_ = true;
  }
  void release(size_t bytes) { used_ -= bytes; }

  bool exhausted() const { return out_of_steps_ || out_of_memory_; }
  Status status() const;  // kExhausted with the limit's name, or ok

 private:
  int64_t steps_;
  size_t limit_, used_ = 0;
  bool out_of_steps_ = false, out_of_memory_ = false;
};

// Bytes held of a meter (null: not counted), given back when the owner goes.
class Held {
 public:
  Held(Meter* meter, size_t bytes) : meter_(meter), bytes_(bytes) {
    if (meter_ != nullptr) meter_->hold(bytes_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (meter_ != nullptr) meter_->release(bytes_);
  }

 private:
  Meter* meter_;
  size_t bytes_;
};

struct Text;
struct List;
struct Range;
class Dict;
struct Object;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,  // an integer beyond 64 bits: printed and compared for equality, not computed with
  kFloat,
  kString,
  kList,  // also tuples, generators and the views of a dict: see List::Flavour
  kDict,
  kRange,
  kObject,  // a namespace, function, macro, loop: owned by the rendering
};

class Value {
 public:
  Value() = default;  // None

  static Value undefined(std::string message);
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value big_integer(std::string digits);  // digits with an optional sign
  static Value real(double value);
  // `text` is UTF-8. safe: markup, which escapes what is added to it.
  static Value string(std::string text, Meter* meter = nullptr, bool safe = false);
  static Value range(int64_t start, int64_t stop, int64_t step);  // REQUIRES: step != 0
  static Value object(Object* object);
  // REQUIRES: depth of the result at most kMaxValueDepth (Interpreter::list checks)
  static Value list(std::shared_ptr<const List> list);
  static Value dict(std::shared_ptr<const Dict> dict);

  // JSON text with keys in their order (of a key written twice the last value counts, as in
  // Python) and integers apart from floats. kInvalid with the place; kExhausted for depth.
  static Result<Value> from_json(std::string_view text);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_list() const { return kind_ == Kind::kList; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }  // computable ones
  bool is_safe() const;                                                      // markup

  // REQUIRES: the kind that the name says
  int64_t as_int() const { return number_.i; }  // kInt, kBool
  double as_double() const;                     // is_number()
  const std::string& text() const;              // kString; kBigInt: digits; kUndefined: message
  const List& as_list() const;                  // kList
  const std::shared_ptr<const void>& ref() const { return ref_; }
  const Dict& as_dict() const;                     // kDict
  const Range& as_range() const;                   // kRange
  Object* as_object() const { return number_.o; }  // kObject

  bool truthy() const;
  int depth() const;              // 0 for what holds no values
  std::string type_name() const;  // Python's: "str", "NoneType", "dict_items"

 private:
  Kind kind_ = Kind::kNone;
  union {
    int64_t i;
    double d;
    Object* o;
  } number_ = {0};
  std::shared_ptr<const void> ref_;  // Text, List, Dict or Range
};

struct Text {
  Text(std::string text, Meter* meter, bool markup)
      : bytes(std::move(text)), safe(markup), held(meter, bytes.capacity() + sizeof(Text)) {}
  std::string bytes;
  bool safe;
  Held held;
};

struct List {
  enum class Flavour : uint8_t {
    kList,
    kTuple,
    kGroup,      // a tuple whose two items are also .grouper and .list
    kGenerator,  // items are taken out once
    kKeys,
    kValues,
    kItems,
  };
  List(std::vector<Value> values, Flavour kind, Meter* meter);

  bool is_tuple() const { return flavour == Flavour::kTuple || flavour == Flavour::kGroup; }

  std::vector<Value> items;
  Flavour flavour;
  int depth;
  mutable size_t next = 0;  // kGenerator: the first item not yet taken
  Held held;
};

struct Range {
  int64_t start, stop, step;
  int64_t size() const;
  int64_t at(int64_t index) const { return start + index * step; }
};

// Keys that are equal in Python are one key: 1, 1.0 and true.
class Dict {
 public:
  explicit Dict(Meter* meter = nullptr) : meter_(meter) {}
  Dict(const Dict& other);
  Dict& operator=(const Dict&) = delete;
  ~Dict();

  const Value* find(std::string_view key) const;  // null: not there
  const Value* find(const Value& key) const;      // null also for what cannot be a key
  // False for a key that cannot be one: a list, a dict.
  bool set(const Value& key, Value value);
  void set(std::string_view key, Value value) { set(Value::string(std::string(key)), value); }

  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }

 private:
  size_t position(const std::string& canonical) const;

  Meter* meter_;
  size_t held_ = 0;
  int depth_ = 1;
  std::vector<std::pair<Value, Value>> entries_;
  std::map<std::string, size_t, std::less<>> index_;  // canonical key to its entry
};

// What the rendering owns and templates only point to.
struct Object {
  virtual ~Object() = default;
  virtual const char* type_name() const = 0;
  virtual std::string repr() const = 0;
  virtual bool callable() const { return false; }
};

struct Namespace : Object {
  explicit Namespace(Meter* meter) : attributes(meter) {}
  const char* type_name() const override { return "Namespace"; }
  std::string repr() const override { return "<Namespace>"; }
  Dict attributes;
};

// The text under which equal keys of a dict are equal; false for what cannot be a key.
bool append_key(std::string& out, const Value& key);

// Python's ==. Work is counted; after exhaustion the answer is false.
bool equal(const Value& a, const Value& b, Meter& meter);

}  // namespace ponder::jinja
