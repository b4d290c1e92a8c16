#include "engine/string_formats.h"

#include <fmt/format.h>

#include <map>
#include <string>

namespace ponder {

namespace {

// RFC 3339, with the days that each month has; 29 February in leap years only.
const std::string kDate =
    "(?:(?:\\d{3}[1-9]|\\d{2}[1-9]\\d|\\d[1-9]\\d{2}|[1-9]\\d{3})-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"
    "02-(?:0[1-9]|1\\d|2[0-8]))|"
    "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)";
const std::string kTime =
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
// Labels without two hyphens in a row, so that none looks like an encoded international one.
const std::string kLabel = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}";
const std::string kHost = kLabel + "(?:\\." + kLabel + "){0,3}";
const std::string kOctet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const std::string kIpv4 = kOctet + "(?:\\." + kOctet + "){3}";

std::string ipv6() {
  const std::string part = "[0-9A-Fa-f]{1,4}";
  std::string out = fmt::format("(?:{}:){{7}}{}|::", part, part);
  // "::" stands for at least two of the eight parts.
  for (int before = 0; before <= 6; ++before) {
    for (int after = 0; before + after <= 6; ++after) {
      if (before + after == 0) continue;
      out += "|";
      if (before > 0) out += fmt::format("{}(?::{}){{{}}}", part, part, before - 1);
      out += "::";
      if (after > 0) out += fmt::format("{}(?::{}){{{}}}", part, part, after - 1);
    }
  }
  return out;
}

// RFC 3339, appendix A.
std::string duration() {
  const std::string n = "\\d{1,9}";
  const std::string date = fmt::format("(?:{0}D|{0}M(?:{0}D)?|{0}Y(?:{0}M(?:{0}D)?)?)", n);
  const std::string time = fmt::format("T(?:{0}S|{0}M(?:{0}S)?|{0}H(?:{0}M(?:{0}S)?)?)", n);
  return fmt::format("P(?:{}(?:{})?|{}|{}W)", date, time, time, n);
}

std::string uri() {
  const std::string escaped = "%[0-9A-Fa-f]{2}";
  const std::string path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|" + escaped + ")";
  return fmt::format(
      "[A-Za-z][A-Za-z0-9+.-]{{0,15}}://{0}(?::\\d{{1,5}})?(?:/{1}{{0,100}}){{0,20}}"
      "(?:\\?(?:{1}|[/?]){{0,400}})?(?:#(?:{1}|[/?]){{0,200}})?",
      kHost, path);
}

}  // namespace

std::string_view format_regex(std::string_view format) {
  static const std::map<std::string, std::string, std::less<>> formats = {
      {"date", kDate},
      {"time", kTime},
      {"date-time", kDate + "T" + kTime},
      {"duration", duration()},
      {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
      {"email", "[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,20}){0,2}@" + kLabel + "(?:\\." +
                    kLabel + "){0,2}\\.[A-Za-z]{2,12}"},
      {"hostname", kHost},
      {"ipv4", kIpv4},
      {"ipv6", ipv6()},
      {"uri", uri()},
  };
  const auto at = formats.find(format);
  return at == formats.end() ? std::string_view() : std::string_view(at->second);
}

}  // namespace ponder
