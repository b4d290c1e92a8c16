// Any bytes as a tokenizer.json (or, after a first byte of 1, as the vocabulary of an old file) and a
// text for it: the bytes after the last 0xFF.
#include <fmt/format.h>

#include <fstream>
#include <vector>

#include "fuzz.h"
#include "text/gguf_tokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace ponder {
namespace {

constexpr char kBetween = '\xFF';

void use(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {true, false}) {
    const auto ids = tokenizer.encode(text, {.add_special = special, .parse_special = special});
    const std::string decoded = tokenizer.decode(ids, special);
    PONDER_CHECK(is_utf8(decoded));
    StreamDecoder stream(tokenizer, special);
    std::string streamed;
    for (const int32_t id : ids) {
      PONDER_CHECK(id >= 0 && id < tokenizer.vocab_size());
      const std::string part = stream.push(id);
      PONDER_CHECK(is_utf8(part));
      streamed += part;
    }
    PONDER_CHECK(streamed + stream.finish() == decoded);
  }
}

}  // namespace

// Small files with each kind of model and most kinds of step.
void plant(const std::string& folder) {
  constexpr const char* kFiles[] = {
      R"({"added_tokens":[{"id":5,"content":"<s>","special":true},{"id":6,"content":"W","lstrip":true,)"
      R"("rstrip":true,"single_word":true,"normalized":true}],"normalizer":{"type":"NFC"},)"
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":)"
      R"("\\p{N}{1,3}| ?\\p{L}+"},"behavior":"Isolated"},{"type":"ByteLevel",)"
      R"("add_prefix_space":false}]},"decoder":{"type":"ByteLevel"},"post_processor":{"type":)"
      R"("TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],)"
      R"("special_tokens":{"<s>":{"ids":[5]}}},"model":{"type":"BPE","ignore_merges":false,)"
      R"("vocab":{"a":0,"b":1,"ab":2,"\u0120":3,"\u0120ab":4},"merges":["a b",["\u0120","ab"]]}})",
      R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},)"
      R"({"type":"Replace","pattern":{"String":" "},"content":"_"},{"type":"Lowercase"},)"
      R"({"type":"Strip"}]},"decoder":{"type":"Sequence","decoders":[{"type":"Replace",)"
      R"("pattern":{"String":"_"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},)"
      R"({"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"type":"BPE",)"
      R"("unk_token":"u","fuse_unk":true,"byte_fallback":true,"vocab":{"u":0,"_":1,"a":2,"_a":3,)"
      R"("<0xC3>":4,"<0xA9>":5},"merges":["_ a"]}})",
      R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAAAAAAAZgA="},)"
      R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},)"
      R"("decoder":{"type":"Metaspace","replacement":"_"},"model":{"type":"Unigram","unk_id":0,)"
      R"("byte_fallback":true,"vocab":[["u",0],["_",-1],["a",-2.5],["_a",-3],["<0xC3>",-9]]}})",
      R"({"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},)"
      R"("decoder":{"type":"WordPiece","prefix":"##"},"post_processor":{"type":"BertProcessing",)"
      R"("cls":["u",0],"sep":["u",0]},"model":{"type":"WordPiece","unk_token":"u",)"
      R"("max_input_chars_per_word":9,"vocab":{"u":0,"a":1,"##b":2,"!":3}}})"};
  int number = 0;
  for (const char* file : kFiles) {
    std::ofstream(fmt::format("{}/seed{}", folder, number++))
        << file << kBetween << "ab 12 <s> W \xC3\xA9!a";
  }
  std::ofstream(folder + "/pieces") << '\1' << "u\n1\n2\na\n b\n ab\n" << kBetween << "ab b";
}

void run(std::string_view bytes) {
  const size_t between = bytes.rfind(kBetween);
  const std::string_view file = bytes.substr(0, between);
  const std::string_view text =
      between == std::string_view::npos ? "ab 12 <s> \xC3\xA9" : bytes.substr(between + 1);
  if (!file.starts_with('\1')) {
    const auto tokenizer = Tokenizer::load_json(file);
    if (!tokenizer.ok()) return check_message(tokenizer.status());
    use(*tokenizer, text);
    GgufMetadata metadata;
    const Status written = tokenizer_json_to_gguf(file, "", tokenizer->vocab_size(), metadata);
    if (!written.ok()) return check_message(written);
    const auto read = tokenizer_from_gguf(metadata);
    if (!read.ok()) return check_message(read.status());
    return use(*read, text);
  }
  std::vector<std::string> pieces(1);
  for (const char c : file.substr(1)) {
    if (c == '\n') {
      pieces.emplace_back();
    } else {
      pieces.back() += c;
    }
  }
  std::vector<float> scores(pieces.size());
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(pieces[i].size() % 5);
  const auto tokenizer = Tokenizer::from_pieces(pieces, scores);
  if (!tokenizer.ok()) return check_message(tokenizer.status());
  use(*tokenizer, text);
}

}  // namespace ponder
