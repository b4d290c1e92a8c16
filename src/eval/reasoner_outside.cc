// Questions of other kinds, and the plain answer that says what the model can do.
#include <fmt/format.h>

#include <cctype>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {
namespace {

using sv = std::string_view;

// {0} to {3}: a place, a subject, a thing, a number; {4}: another subject.
constexpr sv kEnglishQuestions[] = {
    "What is the capital of {0}?",
    "Where is {0}?",
    "How many people live in {0}?",
    "What is the weather in {0} today?",
    "Will it rain in {0} tomorrow?",
    "Tell me about the history of {0}.",
    "Who is the president of {0}?",
    "What language do people speak in {0}?",
    "Plan a trip of {3} days to {0}.",
    "How do I get to {0}?",
    "What should I eat in {0}?",
    "When was {0} founded?",
    "Write a poem about {1}.",
    "Write a story about {1} and {4}.",
    "Write {3} sentences about {1}.",
    "Write an essay on {1}.",
    "Tell me a joke about {1}.",
    "Tell me about {1}.",
    "What do you think about {1}?",
    "Explain {1} to me.",
    "What is {1}?",
    "Who invented the {2}?",
    "How does a {2} work?",
    "Where can I buy a {2}?",
    "How do I repair my {2}?",
    "Which {2} is the best?",
    "Draw a picture of a {2}.",
    "Is {1} better than {4}?",
    "Translate \"{1}\" into French.",
    "How do you say {1} in German?",
    "What does {1} mean?",
    "Write a program about {1}.",
    "Write Python code for a {2}.",
    "How do I learn {1}?",
    "Recommend {3} books about {1}.",
    "Sing a song about {1}.",
    "Give me advice about {1}.",
    "Who won the world cup in {5}?",
    "What happened in {5}?",
    "Who was king of {0} in {5}?",
    "What is the news from {0}?",
    "Summarize a book about {1}.",
    "Who wrote the book about {1}?",
    "Why is {1} important?",
    "What is the square root of {3}?",
    "What is the integral of x^{3}?",
    "What is the sine of {3} degrees?",
    "Prove that there are infinitely many primes above {3}.",
    "Factor x^2+{3}x+{6}.",
    "What is the derivative of {3}x^{6}?",
    "Solve x^2={5}.",
    "What is {5}{6}*{5}{3}?",
    "What is {6}^{3}?",
    "What is the logarithm of {3}?",
    "How do I cook {1}?",
    "Can you help me with {1}?",
    "I want to talk about {1}.",
    "Convert {3} miles into meters.",
    "What is the {3}th prime number?",
};
constexpr sv kEnglishGreetings[] = {
    "Hello",
    "Hello!",
    "Hi",
    "Hi!",
    "hi there",
    "Hey",
    "Good morning",
    "Good evening!",
    "hello there",
    "How are you?",
    "Who are you?",
    "who are you",
    "What are you?",
    "What can you do?",
    "what can you do",
    "Help",
    "help me",
    "Thank you!",
    "Thanks",
    "Bye",
    "Good bye",
    "What is your name?",
    "Are you a robot?",
    "Who made you?",
    "Do you like music?",
    "Are you human?",
    "Test",
    "Can you speak English?",
    "Nice to meet you.",
};
constexpr sv kEnglishPlaces[] = {"France", "Japan",   "Brazil", "Egypt",  "Canada", "China",
                                 "Spain",  "Kenya",   "London", "Paris",  "Berlin", "Rome",
                                 "Sydney", "Beijing", "Norway", "Peru",   "India",  "Mexico",
                                 "Italy",  "Cuba",    "Tokyo",  "Madrid", "Chile",  "Poland"};
constexpr sv kEnglishSubjects[] = {"love",       "the sea",   "music",     "cats",     "football",
                                   "the moon",   "history",   "physics",   "cooking",  "winter",
                                   "art",        "money",     "biology",   "poetry",   "dreams",
                                   "computers",  "the stars", "chess",     "politics", "flowers",
                                   "coffee",     "rice",      "chemistry", "space",    "the ocean",
                                   "friendship", "dogs",      "soup",      "law",      "films"};
constexpr sv kEnglishThings[] = {"telephone", "car",     "bicycle",  "radio", "computer", "clock",
                                 "camera",    "piano",   "airplane", "robot", "lamp",     "guitar",
                                 "phone",     "website", "game",     "house"};

constexpr sv kChineseQuestions[] = {
    "{0}的首都是哪里？",
    "{0}在哪里？",
    "{0}有多少人口？",
    "{0}今天天气怎么样？",
    "明天{0}会下雨吗？",
    "介绍一下{0}的历史。",
    "{0}的总统是谁？",
    "{0}人说什么语言？",
    "帮我计划{3}天的{0}旅行。",
    "怎么去{0}？",
    "{0}有什么好吃的？",
    "写一首关于{1}的诗。",
    "写一个关于{1}和{4}的故事。",
    "写{3}句关于{1}的话。",
    "写一篇关于{1}的作文。",
    "讲一个关于{1}的笑话。",
    "介绍一下{1}。",
    "你觉得{1}怎么样？",
    "给我解释{1}。",
    "什么是{1}？",
    "谁发明了{2}？",
    "{2}是怎么工作的？",
    "哪里可以买{2}？",
    "怎么修{2}？",
    "哪种{2}最好？",
    "画一个{2}。",
    "{1}和{4}哪个更有意思？",
    "把“{1}”翻译成英语。",
    "{1}用法语怎么说？",
    "{1}是什么意思？",
    "写一个关于{1}的程序。",
    "用代码写一个{2}。",
    "怎么学{1}？",
    "推荐{3}本关于{1}的书。",
    "唱一首关于{1}的歌。",
    "给我一些关于{1}的建议。",
    "{5}年世界杯谁赢了？",
    "{5}年发生了什么？",
    "{5}年{0}的国王是谁？",
    "{0}有什么新闻？",
    "{1}为什么重要？",
    "{3}的平方根是多少？",
    "求x^{3}的积分。",
    "{3}度的正弦是多少？",
    "证明大于{3}的质数有无穷多个。",
    "分解x^2+{3}x+{6}。",
    "求{3}x^{6}的导数。",
    "解x^2={5}",
    "{5}{6}*{5}{3}等于多少？",
    "{6}的{3}次方是多少？",
    "{3}的对数是多少？",
    "怎么做{1}？",
    "我想聊聊{1}。",
    "{3}英里是多少米？",
    "第{3}个质数是多少？",
};
constexpr sv kChineseGreetings[] = {
    "你好",           "你好！",         "您好",           "嗨",
    "早上好",         "晚上好！",       "你是谁？",       "你是谁",
    "你叫什么名字？", "你能做什么？",   "你会什么？",     "你会做什么",
    "帮助",           "帮帮我",         "谢谢",           "谢谢你！",
    "再见",           "你好吗？",       "你是机器人吗？", "你是人吗？",
    "谁做了你？",     "你喜欢音乐吗？", "在吗",           "在吗？",
    "测试",           "你会说中文吗？", "很高兴认识你。",
};
constexpr sv kChinesePlaces[] = {"法国", "日本", "巴西", "埃及", "加拿大", "中国", "西班牙",
                                 "伦敦", "巴黎", "北京", "上海", "罗马",   "印度", "意大利",
                                 "德国", "东京", "广州", "英国", "美国",   "泰国"};
constexpr sv kChineseSubjects[] = {"爱",   "大海", "音乐", "猫",   "足球", "月亮", "历史", "物理",
                                   "做饭", "冬天", "艺术", "生物", "诗歌", "梦",   "电脑", "星星",
                                   "象棋", "花",   "咖啡", "米饭", "化学", "太空", "友谊", "狗",
                                   "汤",   "法律", "电影", "春天", "长城", "茶"};
constexpr sv kChineseThings[] = {"电话", "汽车", "自行车", "收音机", "电脑", "钟",
                                 "相机", "钢琴", "飞机",   "机器人", "台灯", "吉他",
                                 "手机", "网站", "游戏",   "房子"};

// Every answer has this in it.
constexpr sv kEnglishMark = "what I can do";
constexpr sv kChineseMark = "我能做的";

// As different people type the same question.
void vary(Rng& rng, bool english, std::string& question) {
  const auto drop_end = [&](sv mark) {
    if (question.ends_with(mark)) question.resize(question.size() - mark.size());
  };
  if (chance(rng, 0.25)) {
    for (const sv mark : {"?", ".", "？", "。"}) drop_end(mark);
  }
  if (english && chance(rng, 0.2)) {
    question[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(question[0])));
  }
  if (chance(rng, 0.3)) {
    question.insert(0, english
                           ? pick(rng, {"Hello! ", "Hi, ", "Please help. ", "Question: ", "Hey! "})
                           : pick(rng, {"你好，", "请问", "请", "问题：", "我想问一下，"}));
  }
}

}  // namespace

std::optional<Puzzle> outside(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  Puzzle out;
  const bool greeting = chance(rng, 0.1);
  if (greeting) {
    out.question = english ? pick(rng, kEnglishGreetings) : pick(rng, kChineseGreetings);
  } else {
    const sv pattern = english ? pick(rng, kEnglishQuestions) : pick(rng, kChineseQuestions);
    const auto subject = [&] {
      return std::string(english ? pick(rng, kEnglishSubjects) : pick(rng, kChineseSubjects));
    };
    out.question = fill(
        pattern,
        {std::string(english ? pick(rng, kEnglishPlaces) : pick(rng, kChinesePlaces)), subject(),
         std::string(english ? pick(rng, kEnglishThings) : pick(rng, kChineseThings)),
         num(rng.between(2, 99)), subject(), num(rng.between(1000, 2030)), num(rng.between(2, 9))});
  }
  if (!greeting) vary(rng, english, out.question);
  out.thinking =
      greeting ? (english ? "This is not a problem to solve." : "这不是要解的题。")
               : (english ? "This is not one of my kinds of problem." : "这不是我会做的题型。");
  out.answer = greeting ? (english ? "Hello! I am a small reasoner. This is what I can do: "
                                     "arithmetic, word problems, comparing numbers, "
                                     "simple equations, Countdown and small logic puzzles."
                                   : "你好！我是一个小型推理模型。我能做的是：算术、应用题、比较大"
                                     "小、简单方程、凑数和小型逻辑题。")
                        : (english ? "Sorry, I do not know. This is what I can do: arithmetic, "
                                     "word problems, comparing numbers, "
                                     "simple equations, Countdown and small logic puzzles."
                                   : "抱歉，这个我不会。我能做的是：算术、应用题、比较大小、简单方"
                                     "程、凑数和小型逻辑题。");
  out.gold = "declined";
  out.steps = steps;
  return out;
}

bool declines(std::string_view answer, Language language) {
  return answer.find(language == Language::kEnglish ? kEnglishMark : kChineseMark) != sv::npos;
}

}  // namespace ponder::reasoner
