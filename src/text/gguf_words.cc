#include "text/gguf_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/json.h"
#include "text/tokenizer_spec.h"

namespace ponder {
namespace {

// Parts that several expressions have in common.
#define PONDER_SUFFIXES "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PONDER_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define PONDER_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define PONDER_MARKS R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)"
// Words in which capitals only begin: fooBar is foo and Bar.
#define PONDER_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define PONDER_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define PONDER_CASED(SUFFIXES)                                       \
  R"([^\r\n\p{L}\p{N}]?)" PONDER_UPPER "*" PONDER_LOWER "+" SUFFIXES \
  R"(|[^\r\n\p{L}\p{N}]?)" PONDER_UPPER "+" PONDER_LOWER "*" SUFFIXES
#define PONDER_CASED_MARKS R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)"

constexpr std::string_view kLlama3 =
    PONDER_SUFFIXES "|" PONDER_WORD R"(|\p{N}{1,3})" PONDER_MARKS PONDER_SPACES;
constexpr std::string_view kQwen2 =
    PONDER_SUFFIXES "|" PONDER_WORD R"(|\p{N})" PONDER_MARKS PONDER_SPACES;
constexpr std::string_view kQwen35 = PONDER_SUFFIXES
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" PONDER_SPACES;
constexpr std::string_view kTekken = PONDER_CASED("") R"(|\p{N})" PONDER_CASED_MARKS PONDER_SPACES;
constexpr std::string_view kGpt4o =
    PONDER_CASED(PONDER_SUFFIXES "?") R"(|\p{N}{1,3})" PONDER_CASED_MARKS PONDER_SPACES;
constexpr std::string_view kYoutu =
    PONDER_CASED(PONDER_SUFFIXES "?") R"(|\p{N})" PONDER_CASED_MARKS PONDER_SPACES;
constexpr std::string_view kJais2 = PONDER_SUFFIXES
    "|" PONDER_WORD R"(|\p{N}{1,3})" PONDER_MARKS
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S))"
    R"(|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kMiniCpm5 =
    PONDER_SUFFIXES "|" PONDER_WORD R"(|\p{N}+)" PONDER_MARKS PONDER_SPACES;
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    PONDER_SUFFIXES "|" PONDER_WORD R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" PONDER_SPACES;
constexpr std::string_view kUfakzeka = PONDER_WORD R"(|\p{N})" PONDER_MARKS PONDER_SPACES;
constexpr std::string_view kExaoneMoe = PONDER_SUFFIXES
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";

#define PONDER_DEEPSEEK_WORDS                                                               \
  R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)" \
  R"(| ?[\p{P}\p{S}]+)"
constexpr std::string_view kDeepSeek3 = PONDER_DEEPSEEK_WORDS "[\\r\\n]*" PONDER_SPACES;
constexpr std::string_view kSpark = PONDER_DEEPSEEK_WORDS R"(|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kHanKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)";
constexpr std::string_view kAsian = R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
// DeepSeek-LLM lists the letters that have a case, as of an older Unicode.
constexpr std::string_view kCasedLetters =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-)"
    R"(\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-)"
    R"(\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-)"
    R"(\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18})"
    R"(-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-)"
    R"(\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-)"
    R"(\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126})"
    R"(\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149})"
    R"(\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2})"
    R"(\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B})"
    R"(-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-)"
    R"(\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";

constexpr std::string_view kSentences =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";

const std::vector<GgufWords>& table() {
  static const std::vector<GgufWords> words = {
      {.names = {"default"},
       .cuts = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Words, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
                 "lfm2", "jina-v5-nano"},
       .cuts = {kLlama3},
       .ignore_merges = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, .cuts = {kLlama3}},
      {.names = {"minicpm5"}, .cuts = {R"(\p{N}{1,3})", kMiniCpm5}, .ignore_merges = true},
      {.names = {"jais-2"}, .cuts = {kJais2}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .cuts = {R"(\p{N}{1,3})", kHanKana, kDeepSeek3}},
      {.names = {"spark2_5"}, .cuts = {R"(\p{N}{1,3})", kHanKana, kSpark, R"(\p{N})"}},
      {.names = {"deepseek-llm"},
       .cuts =
           {R"([\r\n])", kCasedLetters,
            R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
            R"(\s+$)", kAsian, R"(\p{N}+)"}},
      {.names = {"deepseek-coder"},
       .cuts = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kAsian, R"(\p{N})"}},
      {.names = {"qwen2", "deepseek-r1-qwen"}, .cuts = {kQwen2}, .nfc = true},
      {.names = {"stablelm2", "hunyuan", "solar-open", "megrez", "kormo", "f2llmv2", "grok-2"},
       .cuts = {kQwen2}},
      {.names = {"qwen35"}, .cuts = {kQwen35}, .nfc = true},
      {.names = {"laguna"}, .cuts = {kLines, kQwen2}},
      {.names = {"ufakzeka"}, .cuts = {kUfakzeka}},
      {.names = {"seed-coder"}, .cuts = {kSeedCoder}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"}, .cuts = {kBailing}},
      {.names = {"exaone-moe"}, .cuts = {kExaoneMoe}},
      {.names = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling",
                 "gigachat", "mellum", "modern-bert", "a.x-4.0", "jina-es", "jina-de", "jina-v2-es",
                 "jina-v2-de"},
       .cuts = {kGpt2Words}},
      {.names = {"jina-v1-en", "jina-v2-code", "roberta-bpe"},
       .cuts = {kGpt2Words},
       .add_sep = true},
      {.names = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
                 "mellum2"},
       .cuts = {R"(\p{N})", kGpt2Words}},
      {.names = {"falcon"}, .cuts = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Words, "[0-9][0-9][0-9]"}},
      {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .cuts = {kSentences}},
      {.names = {"viking"}, .cuts = {kSentences, R"(\p{N})"}},
      {.names = {"tekken"}, .cuts = {kTekken}, .ignore_merges = true, .add_bos = true},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, .cuts = {kGpt4o}},
      {.names = {"granite-embed-multi-97m"}, .cuts = {kGpt4o}, .ignore_merges = true},
      {.names = {"tiny_aya", "cohere2moe"}, .cuts = {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o}},
      {.names = {"superbpe"}, .cuts = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
      {.names = {"youtu"},
       .cuts =
           {R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019})"
            R"(\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+)"
            R"(|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
            kYoutu},
       .ignore_merges = true},
      {.names = {"afmoe"},
       .cuts =
           {R"(\d{1,3}(?=(?:\d{3})*(?!\d)))",
            R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{30FF}\x{FF65}-\x{FF9F})"
            R"(\x{2F00}-\x{2FDF}\x{E40}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F})"
            R"(\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)",
            kDeepSeek3}},
      {.names = {"chameleon"},
       .cuts = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))",
                R"(\p{N})", R"([\p{P}!-/:-@\[-`{-~])", kGpt2Words},
       .add_bos = true},
      {.names = {"gemma4", "granite-embed-multi-311m", "sarvam-moe"},
       .cuts = {kLines},
       .characters = true},
  };
  return words;
}

}  // namespace

Result<const GgufWords*> find_gguf_words(std::string_view name) {
  std::string known;
  for (const GgufWords& words : table()) {
    for (const std::string_view one : words.names) {
      if (one == name) return &words;
      known += known.empty() ? "" : ", ";
      known += one;
    }
  }
  return unsupported(
      fmt::format("{} is not a pre-tokenizer known here; known are {}", in_quotes(name), known));
}

}  // namespace ponder
