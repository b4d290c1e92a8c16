// What a client is told when a request cannot be served. Each dialect writes it in its own shape.
#pragma once

#include <exception>
#include <string>

#include "core/status.h"

namespace ponder {

struct ApiError {
  int status = 0;       // of HTTP; 0: no error
  std::string type;     // OpenAI's: "invalid_request_error", "authentication_error", ...
  std::string code;     // for programs: "model_not_found"; may be empty
  std::string param;    // the field at fault; may be empty
  std::string message;  // one line
  int retry_after = 0;  // seconds; 0: not said

  bool any() const { return status != 0; }
};

ApiError bad_field(std::string param, std::string message);  // 400
ApiError bad_request(std::string message);                   // 400
ApiError unauthorized(std::string message);                  // 401
ApiError forbidden(std::string message);                     // 403
ApiError no_such_route(std::string message);                 // 404
ApiError no_such_model(const std::string& name);             // 404
ApiError too_large(std::string message);                     // 413
ApiError too_many(std::string message, int retry_after);     // 429
ApiError internal_error(std::string message);                // 500
ApiError failed(const std::exception& error);                // 500: out of memory, most likely
ApiError unavailable(std::string message, int retry_after);  // 503

// The error that stands for a status of the engine, the hub or a file.
ApiError api_error(const Status& status, std::string param = {});

}  // namespace ponder
