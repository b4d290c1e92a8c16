#include "text/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "core/file.h"

namespace ponder {
namespace {

using jinja::Value;

constexpr size_t kMaxConfig = size_t{64} << 20;
constexpr size_t kMaxTemplate = size_t{1} << 20;

// transformers' name of a special token, and llama.cpp's key of its id.
constexpr std::pair<const char*, const char*> kSpecialTokens[] = {
    {"bos_token", "bos"},       {"eos_token", "eos"},     {"unk_token", "unknown"},
    {"sep_token", "seperator"}, {"pad_token", "padding"}, {"cls_token", "cls"},
    {"mask_token", "mask"},
};

// The text of a token that a configuration gives as a string or as an AddedToken's object.
std::optional<std::string> token_text(const Value* token) {
  if (token != nullptr && token->is_dict()) token = token->as_dict().find("content");
  if (token == nullptr || !token->is_string()) return std::nullopt;
  return token->text();
}

// An object from `path`; an empty one where there is no such file.
Result<Value> read_config(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Value::from_json("{}");
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxConfig));
  const Result<Value> config = Value::from_json(text);
  if (!config.ok()) return config.status().with_prefix(path.string());
  if (!config->is_dict()) return invalid(path.string() + ": expected an object");
  return *config;
}

using Sources = ChatTemplate::Sources;

// The template, or the named templates, of a tokenizer_config.json.
Result<Sources> sources_of(const Value& config) {
  Sources out;
  const Value* given = config.as_dict().find("chat_template");
  if (given == nullptr || given->is_none()) return out;
  if (given->is_string()) {
    out.main = given->text();
    return out;
  }
  const Status broken =
      invalid("chat_template: expected a text or a list of {\"name\", \"template\"}");
  if (!given->is_list()) return broken;
  for (const Value& entry : given->as_list().items) {
    const Value* name = entry.is_dict() ? entry.as_dict().find("name") : nullptr;
    const Value* text = entry.is_dict() ? entry.as_dict().find("template") : nullptr;
    if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string()) {
      return broken;
    }
    if (name->text() == "default") out.main = text->text();
    if (name->text() == "tool_use") out.tool_use = text->text();
  }
  if (!out.main) out.main = out.tool_use;
  if (!out.main) return invalid("chat_template: none of its templates is named \"default\"");
  return out;
}

Status missing(const std::string& where) {
  return not_found(where + ": no chat template; name a .jinja file instead");
}

}  // namespace

Result<ChatTemplate> ChatTemplate::from_text(std::string_view source) {
  ASSIGN_OR_RETURN(jinja::Template main, jinja::Template::parse(source));
  ChatTemplate out(std::move(main));
  out.tool_source_ = source;
  return out;
}

Result<ChatTemplate> ChatTemplate::with_text(std::string_view source) const {
  ASSIGN_OR_RETURN(ChatTemplate out, from_text(source));
  out.special_tokens_ = special_tokens_;
  return out;
}

Result<ChatTemplate> ChatTemplate::from_sources(const Sources& sources, const Value& config,
                                                const Value& token_map) {
  ASSIGN_OR_RETURN(ChatTemplate out, from_text(*sources.main));
  if (sources.tool_use) {
    Result<jinja::Template> tool_use = jinja::Template::parse(*sources.tool_use);
    if (!tool_use.ok()) return tool_use.status().with_prefix("tool_use");
    out.tool_use_.push_back(std::move(*tool_use));
    out.tool_source_ = *sources.tool_use;
  }
  for (const auto& [name, unused] : kSpecialTokens) {
    std::optional<std::string> text = token_text(config.as_dict().find(name));
    if (!text) text = token_text(token_map.as_dict().find(name));
    if (text) out.special_tokens_.emplace_back(name, std::move(*text));
  }
  return out;
}

Result<ChatTemplate> ChatTemplate::from_config(std::string_view tokenizer_config,
                                               std::string_view jinja) {
  ASSIGN_OR_RETURN(const Value none, Value::from_json("{}"));
  Value config = none;
  if (!tokenizer_config.empty()) {
    ASSIGN_OR_RETURN(config, Value::from_json(tokenizer_config));
    if (!config.is_dict()) return invalid("tokenizer_config.json: expected an object");
  }
  Sources sources;
  if (jinja.empty()) {
    ASSIGN_OR_RETURN(sources, sources_of(config));
  } else {
    sources.main = std::string(jinja);
  }
  if (!sources.main) return missing("tokenizer_config.json");
  return from_sources(sources, config, none);
}

Result<ChatTemplate> ChatTemplate::from_folder(const std::string& folder) {
  const std::filesystem::path path(folder);
  const std::filesystem::path config_path = path / "tokenizer_config.json";
  ASSIGN_OR_RETURN(const Value config, read_config(config_path));
  ASSIGN_OR_RETURN(const Value token_map, read_config(path / "special_tokens_map.json"));
  Result<Sources> sources = sources_of(config);
  std::string where = config_path.string();
  std::error_code error;
  if (const auto file = path / "chat_template.jinja"; std::filesystem::exists(file, error)) {
    ASSIGN_OR_RETURN(std::string text, read_file(file, kMaxTemplate));
    sources = Sources{std::move(text), std::nullopt};
    where = file.string();
  }
  if (!sources.ok()) return sources.status().with_prefix(where);
  if (!sources->main) return missing(folder);
  Result<ChatTemplate> out = from_sources(*sources, config, token_map);
  if (!out.ok()) return out.status().with_prefix(where);
  return out;
}

Result<ChatTemplate> ChatTemplate::from_gguf(const GgufMetadata& metadata) {
  constexpr char kKey[] = "tokenizer.chat_template";
  if (!metadata.contains(kKey)) return missing(kKey);
  ASSIGN_OR_RETURN(const std::string* source, metadata.string(kKey));
  Result<ChatTemplate> out = from_text(*source);
  if (!out.ok()) return out.status().with_prefix(kKey);
  const std::string tool_key = std::string(kKey) + ".tool_use";
  if (metadata.contains(tool_key)) {
    ASSIGN_OR_RETURN(const std::string* text, metadata.string(tool_key));
    Result<jinja::Template> tool_use = jinja::Template::parse(*text);
    if (!tool_use.ok()) return tool_use.status().with_prefix(tool_key);
    out->tool_use_.push_back(std::move(*tool_use));
    out->tool_source_ = *text;
  }
  if (!metadata.contains("tokenizer.ggml.tokens")) return out;
  ASSIGN_OR_RETURN(const std::vector<std::string>* tokens,
                   metadata.strings("tokenizer.ggml.tokens"));
  for (const auto& [name, short_key] : kSpecialTokens) {
    const std::string key = std::string("tokenizer.ggml.") + short_key + "_token_id";
    if (!metadata.contains(key)) continue;
    ASSIGN_OR_RETURN(const int64_t id, metadata.integer(key));
    if (id < 0 || id >= static_cast<int64_t>(tokens->size())) {
      return invalid(key + ": " + std::to_string(id) + " is no token's id");
    }
    out->special_tokens_.emplace_back(name, (*tokens)[static_cast<size_t>(id)]);
  }
  return out;
}

Result<ChatTemplate> ChatTemplate::load(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return from_folder(path);
  if (path.ends_with(".jinja") || path.ends_with(".jinja2") || path.ends_with(".txt")) {
    ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxTemplate));
    Result<ChatTemplate> out = from_text(text);
    return out.ok() ? std::move(out) : out.status().with_prefix(path);
  }
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  Result<ChatTemplate> out = from_gguf(file.metadata());
  return out.ok() ? std::move(out) : out.status().with_prefix(path);
}

Result<std::string> ChatTemplate::render(std::string_view messages, std::string_view tools,
                                         std::string_view kwargs,
                                         const jinja::RenderOptions& options) const {
  auto variables = std::make_shared<jinja::Dict>();
  const auto read = [](std::string_view json, const char* what) -> Result<Value> {
    Result<Value> value = Value::from_json(json);
    return value.ok() ? std::move(value) : value.status().with_prefix(what);
  };
  ASSIGN_OR_RETURN(Value list, read(messages, "messages"));
  variables->set("messages", std::move(list));
  ASSIGN_OR_RETURN(Value functions, read(tools.empty() ? "null" : tools, "tools"));
  variables->set("tools", std::move(functions));
  ASSIGN_OR_RETURN(const Value more, read(kwargs.empty() ? "{}" : kwargs, "kwargs"));
  if (!more.is_dict()) return invalid("kwargs: expected an object");
  for (const auto& [name, value] : more.as_dict().entries()) variables->set(name, value);
  return render(Value::dict(std::move(variables)), options);
}

Result<std::string> ChatTemplate::render(const Value& variables,
                                         const jinja::RenderOptions& options) const {
  if (!variables.is_dict()) {
    return invalid("a template's variables are an object, not a " + variables.type_name());
  }
  auto all = std::make_shared<jinja::Dict>();
  all->set("tools", Value());
  all->set("documents", Value());
  all->set("add_generation_prompt", Value::boolean(false));
  for (const auto& [name, text] : special_tokens_) all->set(name, Value::string(text));
  for (const auto& [name, value] : variables.as_dict().entries()) all->set(name, value);
  const bool with_tools = !all->find("tools")->is_none();
  const jinja::Template& chosen = with_tools && !tool_use_.empty() ? tool_use_[0] : main_;
  return chosen.render(Value::dict(std::move(all)), options);
}

}  // namespace ponder
