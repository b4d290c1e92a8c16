// The bytes of HTTP/1.1 answers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "server/http.h"

namespace ponder {

std::string_view reason_phrase(int status);

// The head of an answer whose body has `length` bytes. Headers whose name or value could not stand
// in a line of its own are left out.
std::string response_head(int status, std::string_view content_type, const Headers& headers,
                          std::string_view request_id, size_t length, bool keep_alive);
// The head of a streamed answer 200, in chunks or up to the end of the connection.
std::string stream_head(std::string_view content_type, const Headers& headers,
                        std::string_view request_id, bool chunks, bool keep_alive);
void append_chunk(std::string& out, std::string_view bytes, bool chunks);

// "req-" and 24 hexadecimal digits.
std::string new_request_id();
// 1 to 64 letters, digits, '-', '_', '.', ':'
bool sound_request_id(std::string_view id);

}  // namespace ponder
