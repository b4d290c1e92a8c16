#include "server/http.h"

#include <arpa/inet.h>

namespace ponder {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string_view WebRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string WebRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    std::string value;
    if (equals == pair.size() || !percent_decode(pair.substr(equals + 1), value)) return {};
    return value;
  }
  return {};
}

bool is_loopback(std::string_view host) {
  in_addr address{};
  const bool four = ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
  return (four && ntohl(address.s_addr) >> 24 == 127) || host == "localhost" || host == "::1";
}

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return false;
    out += c;
  }
  return true;
}

std::string sse_event(std::string_view data, std::string_view name, std::string_view id) {
  std::string out;
  out.reserve(data.size() + 32);
  if (!id.empty()) out.append("id: ").append(id).append("\n");
  if (!name.empty()) out.append("event: ").append(name).append("\n");
  while (true) {
    const size_t end = data.find('\n');
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  return out.append("\n");
}

}  // namespace ponder
