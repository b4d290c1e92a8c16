#include "train/report.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/test_folder.h"
#include "train/run_log.h"

namespace ponder {
namespace {

std::string fresh_folder(const std::string& name) {
  const std::string folder = test_path("report_test_") + name;
  std::filesystem::remove_all(folder);
  EXPECT_TRUE(make_directories(folder).ok());
  return folder;
}

void put(const std::string& folder, const std::string& file, const std::string& text) {
  ASSERT_TRUE(write_file_atomic(folder + "/" + file, text).ok());
}

std::string step_line(int step, double length, double dlogp) {
  return "{\"stage\":\"zero\",\"step\":" + std::to_string(step) +
         ",\"loss\":0.1,\"accuracy\":0.5," + "\"length_mean\":" + std::to_string(length) +
         ",\"dlogp_max\":" + std::to_string(dlogp) + ",\"seconds_decode\":1.5}\n";
}

bool has(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

TEST(Report, ShowsCurvesEvaluationsFindingsAndSamples) {
  const std::string folder = fresh_folder("full");
  std::string metrics =
      R"({"eval":"before","problems":100,"samples":4,"pass@1":0.25,"stderr":0.02,"cons@4":0.3})"
      "\n";
  for (int step = 0; step < 10; ++step) metrics += step_line(step, 10.0 + step, 0);
  metrics +=
      R"({"eval":"after","problems":100,"samples":4,"pass@1":0.75,"stderr":0.02,"cons@4":0.9,"gain_stderr":0.01})"
      "\n";
  put(folder, "metrics.jsonl", metrics);
  put(folder, "completions.jsonl",
      R"({"step":0,"prompt":"1+2=?","text":"early answer","rewards":{"accuracy":0},"verdict":"wrong_value"})"
      "\n"
      R"({"step":9,"prompt":"3+4=?","text":"late answer","rewards":{"accuracy":1},"verdict":"ok"})"
      "\n");
  put(folder, "summary.json",
      R"({"name":"my run","seed":3,"weights_hash":"abc123","phases":{"decode":3.5,"forward":1.25}})");
  put(folder, "recipe.toml", "name = \"my run\"\n");
  Result<std::string> page = render_report(folder);
  ASSERT_TRUE(page.ok()) << page.status().message();
  for (const char* text :
       {"<h1>my run</h1>", "seed 3", "abc123", "+50.0 \u00b1 5.5 points", "cons@4 over pass@1",
        "+15.0 \u00b1 2.0 points", "Answers grow longer",
        "11.0 tokens at first, 18.0 at last: 1.64 times", "in 10 steps: 0", "Stage zero: 10 steps",
        "<svg", "early answer", "late answer", "Early, step 0", "Late, step 9", "decode", "3.5 s",
        "name = &quot;my run&quot;"}) {
    EXPECT_TRUE(has(*page, text)) << text;
  }
  EXPECT_FALSE(has(*page, "<span class=no>no</span>"));
  EXPECT_FALSE(has(*page, "http://"));
  EXPECT_FALSE(has(*page, "https://"));
  EXPECT_FALSE(has(*page, "<script"));
  ASSERT_TRUE(write_report(folder).ok());
  EXPECT_EQ(*read_file(folder + "/report.html"), *page);
}

TEST(Report, ADifferenceOfSamplerAndTrainerIsANo) {
  const std::string folder = fresh_folder("dlogp");
  put(folder, "metrics.jsonl", step_line(0, 5, 0) + step_line(1, 5, 0.25));
  Result<std::string> page = render_report(folder);
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(has(*page, "in 2 steps: 0.25</td><td><span class=no>no</span>")) << *page;
  EXPECT_TRUE(has(*page, "not finished"));
  EXPECT_TRUE(has(*page, "3 s"));  // phases summed from the steps
}

TEST(Report, HostileTextStaysText) {
  const std::string folder = fresh_folder("hostile");
  const std::string bad = "<script>alert(1)</script><img src=x onerror=y>\\\"'&\\u0000";
  put(folder, "metrics.jsonl",
      "{\"stage\":\"" + bad + "\",\"step\":0,\"loss\":1}\n{\"stage\":\"" + bad +
          "\",\"step\":1,\"loss\":2}\n{\"eval\":\"" + bad +
          "\",\"pass@1\":0.5,\"stderr\":0.1,\"pass@<b>\":1}\n");
  put(folder, "completions.jsonl",
      "{\"step\":0,\"prompt\":\"" + bad + "\",\"text\":\"" + bad + "\",\"verdict\":\"" + bad +
          "\",\"finish_reason\":\"" + bad + "\",\"rewards\":{\"" + bad + "\":1}}\n");
  put(folder, "summary.json",
      "{\"name\":\"" + bad + "\",\"" + bad + "\":\"" + bad + "\",\"phases\":{\"" + bad + "\":1}}");
  put(folder, "recipe.toml", bad + "</pre></details>");
  Result<std::string> page = render_report(folder);
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_FALSE(has(*page, "<script"));
  EXPECT_FALSE(has(*page, "<img"));
  EXPECT_FALSE(has(*page, "pass@<b>"));
  EXPECT_TRUE(has(*page, "&lt;script&gt;"));
}

TEST(Report, TornAndWrongLinesAreSkippedAndCounted) {
  const std::string folder = fresh_folder("torn");
  put(folder, "metrics.jsonl",
      step_line(0, 5, 0) + "[1,2]\n\nnot json\n" + step_line(1, 6, 0) +
          R"({"stage":"zero","step":"x","loss":null,"seconds_decode":[1]})"
          "\n"
          R"({"stage":"zero","st)");
  Result<RunLog> log = read_run_log(folder);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(log->metrics.size(), 3u);
  EXPECT_EQ(log->skipped_lines, 3);
  EXPECT_TRUE(has(*render_report(folder), "3 lines could not be read"));
  EXPECT_FALSE(render_report(folder + "/none").ok());
}

TEST(Report, TakesTheFirstAndTheLastStepOfManyCompletions) {
  const std::string folder = fresh_folder("many");
  put(folder, "metrics.jsonl", "{}\n");
  std::string rows;
  for (int i = 0; i < 1000; ++i) {
    rows += "{\"step\":" + std::to_string(i / 16) + ",\"text\":\"t" + std::to_string(i) + "\"}\n";
  }
  put(folder, "completions.jsonl", rows);
  Result<RunLog> log = read_run_log(folder);
  ASSERT_TRUE(log.ok());
  ASSERT_EQ(log->early.size(), 16u);
  EXPECT_EQ(log->early.front().text, "t0");
  ASSERT_EQ(log->late.size(), 8u);  // 1000 = 62 x 16 + 8
  EXPECT_EQ(log->late.back().text, "t999");
}

}  // namespace
}  // namespace ponder
