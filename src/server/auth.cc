#include "server/auth.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/file.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "hub/name.h"

namespace ponder {
namespace {

constexpr size_t kHashDigits = 64;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<int64_t> day_end(std::string_view text) {  // the last second of YYYY-MM-DD, UTC
  int year = 0, month = 0, day = 0;
  char rest = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%c", &year, &month, &day, &rest) != 3) return {};
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return {};
  return (std::chrono::sys_days(date).time_since_epoch().count() + 1) * int64_t{86400} - 1;
}

Status read_option(std::string_view option, Principal& who) {
  const size_t equals = std::min(option.find('='), option.size());
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = option.substr(std::min(equals + 1, option.size()));
  if (name == "scope") {
    if (value == "infer") return who.scope = Scope::kInfer, Status();
    if (value == "manage") return who.scope = Scope::kManage, Status();
    if (value == "admin") return who.scope = Scope::kAdmin, Status();
    return invalid(fmt::format("scope {} is unknown; expected infer, manage or admin", value));
  }
  if (name == "models") {
    for (const std::string_view model : split(value, ',')) who.models.emplace_back(model);
    return who.models.empty() ? invalid("models= names no model; leave it out for all models")
                              : Status();
  }
  if (name == "expires") {
    who.expires = day_end(value);
    return who.expires ? Status()
                       : invalid(fmt::format("{} is not a date; expected YYYY-MM-DD", value));
  }
  return invalid(fmt::format("{} is unknown; expected scope=, models= or expires=", option));
}

}  // namespace

bool Principal::may_use(std::string_view model) const {
  return models.empty() || std::any_of(models.begin(), models.end(), [&](const std::string& one) {
           return same_model_name(one, model);
         });
}

Status KeyStore::add(std::string_view key, std::string name) {
  if (key.size() < 8) return invalid("an API key must have at least 8 characters");
  Principal who;
  who.name = std::move(name);
  const std::string hash = sha256_hex(key);
  who.account = hash64(hash);
  keys_[hash] = std::move(who);
  return {};
}

Status KeyStore::add_file(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path, size_t{16} << 20));
  return add_lines(text, path);
}

Status KeyStore::add_lines(std::string_view text, const std::string& path) {
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\t' || c == '\r'; }, ' ');
    const std::vector<std::string_view> words = split(line, ' ');
    if (words.empty() || words[0].front() == '#') continue;
    const std::string place = fmt::format("{}:{}", path, number);
    if (!is_hash(words[0])) {
      return invalid(place +
                     ": the first word must be the key's SHA-256 in 64 lower-case digits "
                     "(printf %s KEY | sha256sum)");
    }
    if (words.size() < 2) return invalid(place + ": after the SHA-256 comes the key's name");
    Principal who;
    who.scope = Scope::kInfer;
    who.name = std::string(words[1]);
    who.account = hash64(words[0]);
    for (size_t i = 2; i < words.size(); ++i) {
      RETURN_IF_ERROR(read_option(words[i], who).with_prefix(place));
    }
    keys_[std::string(words[0])] = std::move(who);
  }
  return {};
}

const Principal* KeyStore::find(std::string_view key, int64_t now) const {
  const auto at = keys_.find(sha256_hex(key));
  if (at == keys_.end()) return nullptr;
  return at->second.expires && *at->second.expires < now ? nullptr : &at->second;
}

}  // namespace ponder
