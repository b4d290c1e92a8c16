#include "server/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

namespace ponder {
namespace {

// Builds the value by hand, so that reading stops where a limit is reached.
class Builder {
 public:
  explicit Builder(const BodyLimits& limits) : limits_(limits) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& /*text*/) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(nlohmann::json::binary_t& /*value*/) { return refuse("has a binary value"); }
  bool start_object(size_t /*size*/) { return open(Json::object()); }
  bool start_array(size_t /*size*/) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (static_cast<int64_t>(open_.back()->size()) >= limits_.members) {
      return refuse(fmt::format("has an object of more than {} members", limits_.members));
    }
    new_ = names_.back().insert(name).second;
    if (!limits_.twice && !new_) {
      return refuse(fmt::format("has the member \"{}\" twice in one object", name.substr(0, 64)));
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t byte, const std::string& /*token*/, const std::exception& /*error*/) {
    return refuse(fmt::format("is not JSON: wrong at byte {}", byte));
  }

  const std::string& problem() const { return problem_; }
  Json take() { return std::move(root_); }

 private:
  bool refuse(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
    return false;
  }
  Json* place(Json value) {
    if (++values_ > limits_.values) {
      refuse(fmt::format("has more than {} values", limits_.values));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // A member is found by looking at all; one that is known to be new is put behind them.
    if (new_) {
      return &parent.get_ref<Json::object_t&>()
                  .emplace_back(std::move(key_), std::move(value))
                  .second;
    }
    Json& slot = parent[key_];
    slot = std::move(value);
    return &slot;
  }
  bool put(Json value) { return place(std::move(value)) != nullptr; }
  bool open(Json value) {
    if (static_cast<int>(open_.size()) >= limits_.depth) {
      return refuse(fmt::format("is nested deeper than {} levels", limits_.depth));
    }
    Json* at = place(std::move(value));
    if (at == nullptr) return false;
    open_.push_back(at);
    names_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  const BodyLimits& limits_;
  Json root_;
  // Only the last value of each open one grows, so these stay where they are.
  std::vector<Json*> open_;
  std::vector<std::unordered_set<std::string>> names_;  // of the members of each
  std::string key_, problem_;
  bool new_ = true;  // key_ is no member yet
  int64_t values_ = 0;
};

}  // namespace

Result<Json> parse_object(std::string_view text, const BodyLimits& limits) {
  if (text.empty()) return invalid("the request body is empty; expected a JSON object");
  Builder builder(limits);
  if (!Json::sax_parse(text, &builder)) {
    return invalid("the request body " +
                   (builder.problem().empty() ? "is not JSON" : builder.problem()));
  }
  Json value = builder.take();
  if (!value.is_object()) {
    return invalid(
        fmt::format("the request body is a JSON {}; expected an object", value.type_name()));
  }
  return value;
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ponder
