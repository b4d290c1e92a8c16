// JSON text straight into values: no second tree, the order of keys kept, integers of any length.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/json.h"
#include "text/jinja_value.h"

namespace ponder::jinja {
namespace {

// nlohmann's events, put together on a stack of open lists and dicts.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return put(Value()); }
  bool boolean(bool value) override { return put(Value::boolean(value)); }
  bool number_integer(number_integer_t value) override { return put(Value::integer(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    return put(value > INT64_MAX ? Value::big_integer(std::to_string(value))
                                 : Value::integer(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& digits) override {
    const bool whole = digits.find_first_of(".eE") == std::string::npos;  // beyond 64 bits
    return put(whole ? Value::big_integer(digits) : Value::real(value));
  }
  bool string(string_t& value) override { return put(Value::string(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool key(string_t& value) override {
    open_.back().key = value;
    return true;
  }
  bool end_object() override {
    Value made = Value::dict(std::move(open_.back().dict));
    open_.pop_back();
    return put(std::move(made));
  }
  bool end_array() override {
    Value made = Value::list(
        std::make_shared<const List>(std::move(open_.back().items), List::Flavour::kList, nullptr));
    open_.pop_back();
    return put(std::move(made));
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    error_at_ = position;
    return false;
  }

  Result<Value> finish(bool parsed, std::string_view text) {
    if (too_deep_) {
      return exhausted(fmt::format("JSON nested deeper than {} levels", kMaxValueDepth));
    }
    if (parsed) return std::move(root_);
    const size_t offset = error_at_ > 0 ? error_at_ - 1 : 0;
    return invalid(fmt::format("{}: not valid JSON{}", place_of(text, offset),
                               offset >= text.size() ? " (it ends too early)" : ""));
  }

 private:
  struct Open {
    bool is_dict;
    std::vector<Value> items;
    std::shared_ptr<Dict> dict;
    std::string key;
  };

  bool open(bool is_dict) {
    too_deep_ = open_.size() >= static_cast<size_t>(kMaxValueDepth);
    if (too_deep_) return false;
    open_.push_back({is_dict, {}, is_dict ? std::make_shared<Dict>() : nullptr, {}});
    return true;
  }

  bool put(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_dict) {
      open_.back().dict->set(open_.back().key, std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Value root_;
  size_t error_at_ = 0;
  bool too_deep_ = false;
};

}  // namespace

Result<Value> Value::from_json(std::string_view text) {
  Builder builder;
  const bool parsed = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.finish(parsed, text);
}

}  // namespace ponder::jinja
