#include "model/imatrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/test_folder.h"

namespace ponder {
namespace {

ImportanceMatrix sample() {
  ImportanceMatrix out;
  out.entries["blk.0.attn_q.weight"] = {3, {2.0, 4.0, 8.0}, {2.0}};
  out.entries["blk.1.ffn_up_exps.weight"] = {2, {1.0, 3.0, 0.0, 0.0}, {4.0, 0.0}};
  out.datasets = {"text.txt"};
  out.chunks = 5;
  out.chunk_size = 128;
  return out;
}

TEST(Imatrix, MeansPerMatrixOnesWhereNothingWasSeen) {
  const ImportanceMatrix matrix = sample();
  EXPECT_EQ(matrix.entries.at("blk.0.attn_q.weight").means(), (std::vector<float>{1, 2, 4}));
  EXPECT_EQ(matrix.entries.at("blk.1.ffn_up_exps.weight").means(),
            (std::vector<float>{0.25f, 0.75f, 1, 1}));
}

TEST(Imatrix, WrittenAndReadAgain) {
  const TestFolder folder;
  const ImportanceMatrix matrix = sample();
  ASSERT_TRUE(matrix.write(folder / "m.gguf").ok());
  const auto read = ImportanceMatrix::read(folder / "m.gguf");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->datasets, matrix.datasets);
  EXPECT_EQ(read->chunks, 5);
  EXPECT_EQ(read->chunk_size, 128);
  ASSERT_EQ(read->entries.size(), 2u);
  for (const auto& [name, entry] : matrix.entries) {
    EXPECT_EQ(read->entries.at(name).cols, entry.cols);
    EXPECT_EQ(read->entries.at(name).sums, entry.sums);
    EXPECT_EQ(read->entries.at(name).counts, entry.counts);
  }
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The form before GGUF: entries, then calls and the text's name.
std::string old_file() {
  std::string out;
  put(out, int32_t{1});
  put(out, int32_t{4});
  out += "name";
  put(out, int32_t{2});  // calls
  put(out, int32_t{3});
  for (const float v : {2.0f, 4.0f, 6.0f}) put(out, v);
  put(out, int32_t{7});
  put(out, int32_t{3});
  out += "txt";
  return out;
}

TEST(Imatrix, TheOlderForm) {
  const TestFolder folder;
  plant(folder / "m.dat", old_file());
  const auto read = ImportanceMatrix::read(folder / "m.dat");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->entries.at("name").means(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(read->chunks, 7);
  EXPECT_EQ(read->datasets, (std::vector<std::string>{"txt"}));
}

TEST(Imatrix, CutsAndFlipsAreRefusedOrRead) {
  const TestFolder folder;
  ASSERT_TRUE(sample().write(folder / "m.gguf").ok());
  for (const std::string& whole : {old_file(), slurp(folder / "m.gguf")}) {
    // A GGUF file may lack the padding at its end.
    const size_t end = whole.size() < 100 ? whole.size() : whole.size() - 32;
    for (size_t n = 0; n < end; n += whole.size() < 100 ? 1 : 7) {
      const auto read = ImportanceMatrix::parse(std::as_bytes(std::span(whole.data(), n)));
      // The last two fields of the older form came later: a file may end before them.
      const bool older = whole.size() < 100 && n == whole.size() - 11;
      EXPECT_EQ(read.ok(), older) << n;
    }
    for (size_t bit = 0; bit < whole.size() * 8; bit += whole.size() < 100 ? 1 : 13) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const auto read = ImportanceMatrix::parse(std::as_bytes(std::span(flipped)));
      if (!read.ok()) {
        EXPECT_EQ(read.status().message().find('\n'), std::string::npos);
      }
    }
  }
}

TEST(Imatrix, CollectsTheInputsOfEveryProduct) {
  Config config = Config::of("llama");
  config.vocab_size = 40;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 32;
  config.rms_norm_eps = 1e-10;
  const auto model = Model::create(config, 3);
  ASSERT_TRUE(model.ok());
  ImportanceCollector collector(*model);
  ThreadPool pool(1);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  cx.observer = &collector;
  std::vector<int32_t> ids(12), positions(12);
  std::iota(ids.begin(), ids.end(), 5);
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<Segment> segments = {{0, 12, 0, -1, nullptr}};
  const Tensor hidden = model->forward(cx, {ids, positions, segments});
  model->logits(cx, hidden);
  const auto& entries = collector.entries();
  EXPECT_EQ(entries.size(), 2u * 7u);  // no head, no embedding
  for (const auto& [name, entry] : entries) {
    EXPECT_EQ(entry.counts, (std::vector<double>{12.0})) << name;
    double sum = 0;
    for (const double v : entry.sums) sum += v;
    EXPECT_GT(sum, 0.0) << name;
  }
  // q, k and v have the same inputs; the normalised stream has mean squares of about one.
  EXPECT_EQ(entries.at("blk.1.attn_q.weight").sums, entries.at("blk.1.attn_v.weight").sums);
  const auto& sums = entries.at("blk.0.attn_k.weight").sums;
  EXPECT_NEAR(std::accumulate(sums.begin(), sums.end(), 0.0), 12.0 * 32.0, 0.1);
}

}  // namespace
}  // namespace ponder
