#include "server/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <random>

namespace ponder {
namespace {

bool fits_a_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void append_headers(std::string& out, std::string_view content_type, const Headers& headers,
                    std::string_view request_id, bool keep_alive) {
  if (!content_type.empty()) out.append("Content-Type: ").append(content_type).append("\r\n");
  for (const auto& [name, value] : headers) {
    if (fits_a_line(name) && fits_a_line(value)) {
      out.append(name).append(": ").append(value).append("\r\n");
    }
  }
  out.append("X-Request-Id: ").append(request_id).append("\r\n");
  out.append("X-Content-Type-Options: nosniff\r\n");
  out.append(keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

std::string response_head(int status, std::string_view content_type, const Headers& headers,
                          std::string_view request_id, size_t length, bool keep_alive) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  append_headers(out, content_type, headers, request_id, keep_alive);
  if (status != 204) out += fmt::format("Content-Length: {}\r\n", length);
  return out + "\r\n";
}

std::string stream_head(std::string_view content_type, const Headers& headers,
                        std::string_view request_id, bool chunks, bool keep_alive) {
  std::string out = "HTTP/1.1 200 OK\r\n";
  append_headers(out, content_type, headers, request_id, keep_alive);
  out += "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
  if (chunks) out += "Transfer-Encoding: chunked\r\n";
  return out + "\r\n";
}

void append_chunk(std::string& out, std::string_view bytes, bool chunks) {
  if (bytes.empty()) return;
  if (!chunks) {
    out += bytes;
    return;
  }
  out += fmt::format("{:x}\r\n", bytes.size());
  out.append(bytes).append("\r\n");
}

std::string new_request_id() {
  static const uint64_t start = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  static std::atomic<uint32_t> count{0};
  return fmt::format("req-{:016x}{:08x}", start, count.fetch_add(1));
}

bool sound_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  });
}

}  // namespace ponder
