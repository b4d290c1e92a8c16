#include "server/api_error.h"

namespace ponder {

ApiError bad_field(std::string param, std::string message) {
  return {400, "invalid_request_error", "invalid_value", std::move(param), std::move(message), 0};
}
ApiError bad_request(std::string message) {
  return {400, "invalid_request_error", {}, {}, std::move(message), 0};
}
ApiError unauthorized(std::string message) {
  return {401, "authentication_error", "invalid_api_key", {}, std::move(message), 0};
}
ApiError forbidden(std::string message) {
  return {403, "permission_error", {}, {}, std::move(message), 0};
}
ApiError no_such_route(std::string message) {
  return {404, "invalid_request_error", "unknown_url", {}, std::move(message), 0};
}
ApiError no_such_model(const std::string& name) {
  return {404,
          "invalid_request_error",
          "model_not_found",
          "model",
          "The model `" + name + "` does not exist or you do not have access to it.",
          0};
}
ApiError too_large(std::string message) {
  return {413, "invalid_request_error", "request_too_large", {}, std::move(message), 0};
}
ApiError too_many(std::string message, int retry_after) {
  return {429, "rate_limit_error", "rate_limit_exceeded", {}, std::move(message), retry_after};
}
ApiError internal_error(std::string message) {
  return {500, "server_error", "internal_error", {}, std::move(message), 0};
}
ApiError unavailable(std::string message, int retry_after) {
  return {503, "server_error", "unavailable", {}, std::move(message), retry_after};
}

ApiError failed(const std::exception& error) {
  return internal_error(std::string("the request failed: ") + error.what());
}

ApiError api_error(const Status& status, std::string param) {
  switch (status.code()) {
    case Code::kInvalid:
    case Code::kUnsupported:
      return bad_field(std::move(param), status.message());
    case Code::kNotFound:
      return {404, "invalid_request_error", "not_found", std::move(param), status.message(), 0};
    case Code::kExhausted:
      return too_many(status.message(), 1);
    case Code::kOk:
    case Code::kIo:
    case Code::kCancelled:
      break;
  }
  return internal_error(status.message());
}

}  // namespace ponder
