// Errors as values. Whatever a user, a file or a request can cause is a Status or a Result<T> whose
// message names the thing, what was expected and what to do; PONDER_CHECK is for our own bugs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace ponder {

enum class Code : uint8_t {
  kOk,
  kInvalid,      // the input is wrong: a file's bytes, a recipe's key, a request's field
  kNotFound,     // a file, model, tensor or name that is not there
  kIo,           // the operating system refused: permissions, a full disk, a broken pipe
  kExhausted,    // a stated limit was reached: memory, queue, length
  kUnsupported,  // valid, but not something this build does
  kCancelled,
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "prefix: " before its message, for callers that know the file or key; ok
  // stays ok.
  Status with_prefix(const std::string& prefix) const {
    return ok() ? *this : Status(code_, prefix + ": " + message_);
  }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }
inline Status not_found(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status io_error(std::string message) { return {Code::kIo, std::move(message)}; }
inline Status exhausted(std::string message) { return {Code::kExhausted, std::move(message)}; }
inline Status unsupported(std::string message) { return {Code::kUnsupported, std::move(message)}; }

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail = {});

// Aborts with file, line and the condition. Optional second argument: a std::string with details.
#define PONDER_CHECK(condition, ...)                                                     \
  do {                                                                                   \
    if (!(condition)) [[unlikely]]                                                       \
      ::ponder::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

// A value or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    PONDER_CHECK(!status_.ok(), "a Result made from an ok Status has no value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // REQUIRES: ok()
  T& value() & {
    PONDER_CHECK(ok(), status_.message());
    return *value_;
  }
  const T& value() const& {
    PONDER_CHECK(ok(), status_.message());
    return *value_;
  }
  T&& value() && {
    PONDER_CHECK(ok(), status_.message());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

#define PONDER_CONCAT_(a, b) a##b
#define PONDER_CONCAT(a, b) PONDER_CONCAT_(a, b)

// Leaves the function with the error of `expression`, a Status.
#define RETURN_IF_ERROR(expression)                                             \
  do {                                                                          \
    if (::ponder::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, f()): x is the value of the Result f(), or the function returns its
// Status.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_IMPL_(PONDER_CONCAT(result_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_IMPL_(result, lhs, expression) \
  auto result = (expression);                           \
  if (!result.ok()) return result.status();             \
  lhs = std::move(result).value()

}  // namespace ponder
