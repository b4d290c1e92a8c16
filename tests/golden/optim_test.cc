// AdamW, schedules and clipping against goldens/optim, with the tolerances of its README: 2e-6
// relative plus 1e-7 for f32 updates, 1e-9 for schedules.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/adamw.h"
#include "train/schedule.h"

namespace ponder {
namespace {

using Json = nlohmann::json;
using Floats = std::vector<float>;

std::vector<Json> read_rows(const std::string& name) {
  const std::string path = std::string(PONDER_SOURCE_DIR) + "/../shared/goldens/optim/" + name;
  std::vector<Json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) rows.push_back(Json::parse(line));
  }
  return rows;
}

#define READ_OR_SKIP(rows, name)                  \
  const std::vector<Json> rows = read_rows(name); \
  if (rows.empty()) GTEST_SKIP() << "SKIPPED: no ../shared/goldens/optim/" << name

void expect_near(const Floats& got, const std::vector<double>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(double{got[i]}, expected[i], 2e-6 * std::abs(expected[i]) + 1e-7)
        << what << ", element " << i;
  }
}

TEST(GoldenOptim, AdamW) {
  READ_OR_SKIP(rows, "adamw.jsonl");
  EXPECT_EQ(rows.size(), 15u);
  for (size_t r = 0; r < rows.size(); ++r) {
    const Json& row = rows[r];
    SCOPED_TRACE("row " + std::to_string(r));
    const AdamWParams params{row.at("beta1"), row.at("beta2"), row.at("eps"),
                             row.at("weight_decay")};
    auto w = row.at("parameters").get<std::vector<Floats>>();
    std::vector<Floats> m, v;
    for (const Floats& tensor : w) {
      m.emplace_back(tensor.size());
      v.emplace_back(tensor.size());
    }
    for (size_t t = 0; t < row.at("lr").size(); ++t) {
      const AdamWStep step = adamw_step(params, row["lr"][t], static_cast<int64_t>(t) + 1);
      for (size_t k = 0; k < w.size(); ++k) {
        const Floats g = row.at("gradients").at(t).at(k).get<Floats>();
        adamw_update(step, w[k].data(), g.data(), m[k].data(), v[k].data(), 0,
                     static_cast<int64_t>(g.size()));
        expect_near(w[k], row.at("after").at(t).at(k).get<std::vector<double>>(),
                    "after step " + std::to_string(t) + ", tensor " + std::to_string(k));
      }
    }
    expect_near(m[0], row.at("exp_avg").get<std::vector<double>>(), "exp_avg");
    expect_near(v[0], row.at("exp_avg_sq").get<std::vector<double>>(), "exp_avg_sq");
  }
}

TEST(GoldenOptim, Schedules) {
  READ_OR_SKIP(rows, "schedules.jsonl");
  EXPECT_EQ(rows.size(), 25u);
  for (const Json& row : rows) {
    const std::string kind = row.at("kind");
    const Schedule schedule{schedule_kind_from(kind).value(), row.at("warmup"), row.at("total"),
                            row.value("decay", int64_t{0}), row.value("min_ratio", 0.0)};
    for (size_t t = 0; t < row.at("factor").size(); ++t) {
      EXPECT_NEAR(schedule_factor(schedule, static_cast<int64_t>(t)), row["factor"][t], 1e-9)
          << kind << ", warmup " << schedule.warmup << ", total " << schedule.total << ", step "
          << t;
    }
  }
}

TEST(GoldenOptim, Clip) {
  READ_OR_SKIP(rows, "clip.jsonl");
  EXPECT_EQ(rows.size(), 5u);
  for (const Json& row : rows) {
    const auto gradients = row.at("gradients").get<std::vector<Floats>>();
    std::vector<double> partials;
    for (const Floats& g : gradients) {
      const int64_t chunks = norm_chunks(static_cast<int64_t>(g.size()));
      std::vector<double> own(static_cast<size_t>(chunks));
      sum_squares(g, 0, chunks, own);
      partials.insert(partials.end(), own.begin(), own.end());
    }
    const double norm = global_norm(partials), expected = row.at("norm");
    EXPECT_NEAR(norm, expected, 1e-12 * expected);
    const auto scale = static_cast<float>(clip_scale(norm, row.at("max_norm")));
    for (size_t k = 0; k < gradients.size(); ++k) {
      Floats clipped = gradients[k];
      for (float& g : clipped) g *= scale;
      expect_near(clipped, row.at("clipped").at(k).get<std::vector<double>>(), "clipped");
    }
  }
}

}  // namespace
}  // namespace ponder
