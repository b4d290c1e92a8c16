#include "text/symbol_vocab.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {
namespace {

using json = nlohmann::ordered_json;

constexpr int kNumberCount = 97;
constexpr std::string_view kMarks[] = {"<pad>",       "<bos>",   "<eos>",    "<user>",
                                       "<assistant>", "<think>", "</think>", "<answer>",
                                       "</answer>",   "<unk>"};
constexpr std::string_view kSymbols = "+-*/=;?(),.:<> \n";
constexpr std::string_view kThinkingWords[] = {"wait", "check", "so", "wait ", "check "};
constexpr std::string_view kLexicon[] = {"zero", "one",   "two",   "three", "four",
                                         "five", "six",   "seven", "eight", "nine",
                                         "plus", "minus", "times", "makes"};

bool is_special(int32_t mark) { return mark < SymbolIds::kThink || mark == SymbolIds::kUnknown; }

std::vector<std::string> tokens(SymbolNumbers numbers) {
  std::vector<std::string> out(std::begin(kMarks), std::end(kMarks));
  const auto unused = [&] { return fmt::format("<unused{}>", out.size()); };
  for (int n = 0; n < kNumberCount; ++n) {
    out.push_back(n < 10 || numbers == SymbolNumbers::kWhole ? std::to_string(n) : unused());
  }
  for (const char c : kSymbols) out.emplace_back(1, c);
  out.insert(out.end(), std::begin(kThinkingWords), std::end(kThinkingWords));
  out.insert(out.end(), std::begin(kLexicon), std::end(kLexicon));
  for (int n = 0; n < kNumberCount; ++n) out.push_back(fmt::format("N{}", n));
  for (const auto word : kLexicon) out.push_back(fmt::format("{} ", word));
  while (out.size() < SymbolIds::kSize) out.push_back(unused());
  PONDER_CHECK(out.size() == SymbolIds::kSize, "more than 256 symbols");
  return out;
}

// What is a piece of its own. '<' too, so that no mark is spelled by a piece of text.
std::string pieces(SymbolNumbers numbers) {
  constexpr std::string_view kUpTo96 = "9[0-6]|[1-8][0-9]|[0-9]";
  std::string out = "wait ?|check ?|so";
  for (const auto word : kLexicon) out += fmt::format("|{} ?", word);
  out += fmt::format("|N(?:{})|<|", kUpTo96);
  out += numbers == SymbolNumbers::kWhole ? kUpTo96 : "[0-9]";
  return out;
}

}  // namespace

std::string symbol_tokenizer_json(SymbolNumbers numbers) {
  json vocab = json::object();
  int32_t id = 0;
  for (const auto& token : tokens(numbers)) vocab[token] = id++;
  json added = json::array();
  for (int32_t mark = 0; mark <= SymbolIds::kUnknown; ++mark) {
    added.push_back({{"id", mark},
                     {"content", kMarks[mark]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", is_special(mark)}});
  }
  const json bos = {{"SpecialToken", {{"id", "<bos>"}, {"type_id", 0}}}};
  const json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  const json root = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Split"},
        {"pattern", {{"Regex", pieces(numbers)}}},
        {"behavior", "Isolated"},
        {"invert", false}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", json::array({bos, first})},
        {"pair", json::array({bos, first, second})},
        {"special_tokens",
         {{"<bos>",
           {{"id", "<bos>"},
            {"ids", json::array({SymbolIds::kBos})},
            {"tokens", json::array({"<bos>"})}}}}}}},
      {"decoder", {{"type", "Fuse"}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "<unk>"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", true},
        {"byte_fallback", false},
        {"ignore_merges", true},
        {"vocab", vocab},
        {"merges", json::array()}}},
  };
  return root.dump(1) + "\n";
}

std::string symbol_tokenizer_config_json() {
  constexpr std::string_view kTemplate =
      "{{ bos_token }}{% for message in messages %}"
      "{% if message['role'] == 'user' %}<user>{{ message['content'] }}"
      "{% elif message['role'] == 'assistant' %}<assistant>{{ message['content'] }}{{ eos_token }}"
      "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
  const json root = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"bos_token", "<bos>"},
                     {"eos_token", "<eos>"},
                     {"pad_token", "<pad>"},
                     {"unk_token", "<unk>"},
                     {"clean_up_tokenization_spaces", false},
                     {"chat_template", kTemplate}};
  return root.dump(1) + "\n";
}

}  // namespace ponder
