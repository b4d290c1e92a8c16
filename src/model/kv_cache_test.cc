#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "model/config.h"

namespace ponder {
namespace {

Config config_of() {
  Config c = Config::of("llama");
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 8;
  return c;
}

// Floats of one page of one layer: 2 heads, keys and values, 64 positions of 8.
constexpr int64_t kPage = 2 * 2 * 64 * 8;

TEST(KvCache, LayersAndPagesLieSideBySide) {
  EXPECT_EQ(KvCache::page_bytes(config_of()), 3 * kPage * 4);
  const auto cache = KvCache::create(config_of(), 5);
  ASSERT_TRUE(cache.ok());
  EXPECT_EQ(cache->pages(), 5);
  for (int64_t i = 0; i < 3; ++i) {
    const KvLayer layer = cache->layer(i);
    EXPECT_EQ(layer.page_stride, kPage);
    EXPECT_EQ(layer.page_keys, 64);
    EXPECT_EQ(layer.base - cache->layer(0).base, i * 5 * kPage);
    layer.base[0] = 1;  // all of it is ours
    layer.base[5 * kPage - 1] = 2;
  }
  EXPECT_DEATH(cache->layer(3), "index");
  EXPECT_DEATH(cache->layer(-1), "index");
}

TEST(KvCache, AnyShapeOfKeysAndValues) {
  // Values narrower than keys; then keys that hold their values.
  for (const auto& [shape, page] : {std::pair{KvShape{2, 3, 24, 8}, int64_t{3} * 64 * (24 + 8)},
                                    std::pair{KvShape{2, 1, 576, 0}, int64_t{64} * 576}}) {
    EXPECT_EQ(KvCache::page_bytes(shape), 2 * page * 4);
    const auto cache = KvCache::create(shape, 4);
    ASSERT_TRUE(cache.ok());
    EXPECT_EQ(cache->layer(1).page_stride, page);
    EXPECT_EQ(cache->layer(1).base - cache->layer(0).base, 4 * page);
    cache->layer(1).base[4 * page - 1] = 1;
  }
}

TEST(KvCache, OtherTypesTakeLess) {
  const auto bytes = [](DType type) { return KvCache::page_bytes({2, 3, 64, 40, type}); };
  constexpr int64_t kEntries = int64_t{2} * 3 * 64 * (64 + 40);
  EXPECT_EQ(bytes(DType::kF32), kEntries * 4);
  EXPECT_EQ(bytes(DType::kF16), kEntries * 2);
  EXPECT_EQ(bytes(DType::kBF16), kEntries * 2);
  EXPECT_EQ(bytes(DType::kQ8_0), kEntries + int64_t{2} * 3 * 64 * (2 + 2) * 4);
  const auto cache = KvCache::create(KvShape{2, 3, 64, 40, DType::kF16}, 4);
  ASSERT_TRUE(cache.ok());
  EXPECT_EQ(cache->layer(1).type, DType::kF16);
  EXPECT_EQ(cache->layer_page_bytes() * 2, bytes(DType::kF16));
  EXPECT_EQ(cache->page_data(1, 3) - cache->page_data(0, 0), (4 + 3) * cache->layer_page_bytes());
  EXPECT_EQ(static_cast<void*>(cache->page_data(1, 0)), cache->layer(1).base);
}

TEST(KvCache, MoreThanTheSystemHasIsAnError) {
  const auto cache = KvCache::create(config_of(), INT64_MAX / KvCache::page_bytes(config_of()));
  ASSERT_FALSE(cache.ok());
  EXPECT_EQ(cache.status().code(), Code::kExhausted);
  EXPECT_NE(cache.status().message().find("lower the context"), std::string::npos);
}

}  // namespace
}  // namespace ponder
