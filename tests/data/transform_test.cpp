#include "data/transform.h"

#include <cmath>
#include <set>

#include "base/random.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

struct Result {
  Shape image;                // (C, H, W)
  std::vector<float> values;  // in units of 0..255 when the recipe does not normalise
  float at(int64_t c, int64_t y, int64_t x) const {
    return values[static_cast<size_t>((c * image[1] + y) * image[2] + x)];
  }
};

// Gives back pixel values instead of [0, 1].
ImageRecipe plain(const Shape& image) {
  ImageRecipe recipe;
  recipe.image = image;
  recipe.std = {1 / 255.0f, 1 / 255.0f, 1 / 255.0f};
  return recipe;
}

Result fit(const ImageRecipe& recipe, const ImageSize& size, const Pixels& pixels,
           int64_t epoch = 0, int64_t example = 0) {
  const Scratch scratch(ImageFitter::scratch_bytes(recipe.image));
  ImageFitter fitter(recipe, scratch.span());
  Result result{recipe.image,
                std::vector<float>(static_cast<size_t>(recipe.image.elements()), -999)};
  fitter.aim(result.values.data(), epoch, example);
  fitter.begin(size);
  Bytes row(static_cast<size_t>(size.width * size.channels));
  for (int y = 0; y < size.height; ++y) {
    for (size_t i = 0; i < row.size(); ++i) {
      const auto channels = static_cast<size_t>(size.channels);
      row[i] = static_cast<uint8_t>(
          pixels(y, static_cast<int>(i / channels), static_cast<int>(i % channels)));
    }
    fitter.row(row.data());
  }
  return result;
}

int noise(int y, int x, int c) {
  return static_cast<int>(
      RandomStream(7, static_cast<uint64_t>(c)).below(static_cast<uint64_t>(1000 * y + x), 256));
}

// The twin: one axis of a bilinear, antialiased resize, from the definition and in double.
double triangle_mean(const std::function<double(int64_t)>& source, int64_t size, double shrink,
                     double place) {
  const double half = std::max(1.0, shrink);
  double sum = 0;
  double weights = 0;
  for (int64_t x = 0; x < size; ++x) {
    const double distance = std::abs(static_cast<double>(x) + 0.5 - (place + 0.5) * shrink);
    const double weight = std::max(0.0, 1 - distance / half);
    sum += weight * source(x);
    weights += weight;
  }
  return sum / weights;
}

TEST(ImageFit, SameSizeKeepsEveryPixel) {
  const Result r = fit(plain({3, 5, 7}), {3, 5, 7}, gradient);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 5; ++y) {
      for (int x = 0; x < 7; ++x) {
        EXPECT_FLOAT_EQ(r.at(c, y, x), static_cast<float>(gradient(y, x, c)));
      }
    }
  }
}

TEST(ImageFit, NormalisesEachChannel) {
  ImageRecipe recipe;
  recipe.image = Shape{3, 1, 1};
  recipe.mean = {.1f, .2f, .3f};
  recipe.std = {.5f, .25f, .125f};
  const Result r = fit(recipe, {3, 1, 1}, [](int, int, int) { return 255; });
  EXPECT_FLOAT_EQ(r.at(0, 0, 0), .9f / .5f);
  EXPECT_FLOAT_EQ(r.at(1, 0, 0), .8f / .25f);
  EXPECT_FLOAT_EQ(r.at(2, 0, 0), .7f / .125f);
}

TEST(ImageFit, SlightlyTooSmallIsPutInTheMiddleOfBlack) {
  ImageRecipe recipe;
  recipe.image = Shape{1, 32, 32};
  recipe.mean = {.2860f, 0, 0};
  recipe.std = {.3530f, 1, 1};
  const Result r = fit(recipe, {1, 28, 28}, [](int, int, int) { return 255; });
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
      ASSERT_FLOAT_EQ(r.at(0, y, x), ((inside ? 1.0f : 0.0f) - .2860f) / .3530f);
    }
  }
}

TEST(ImageFit, PadsUpToSixFifths) {
  const auto white = [](int, int, int) { return 255; };
  EXPECT_EQ(fit(plain({1, 12, 12}), {1, 10, 10}, white).at(0, 0, 0), 0);
  EXPECT_NEAR(fit(plain({1, 13, 13}), {1, 10, 10}, white).at(0, 0, 0), 255, 1e-3);
}

TEST(ImageFit, PadsOneSideAlone) {
  const Result r = fit(plain({1, 12, 10}), {1, 10, 10}, [](int, int, int) { return 9; });
  EXPECT_EQ(r.at(0, 0, 5), 0);
  EXPECT_FLOAT_EQ(r.at(0, 1, 0), 9);
  EXPECT_FLOAT_EQ(r.at(0, 10, 9), 9);
  EXPECT_EQ(r.at(0, 11, 5), 0);
}

TEST(ImageFit, ConstantStaysConstantAtAnySize) {
  for (const auto& [h, w] :
       {std::pair{1, 1}, {1, 50}, {50, 1}, {33, 31}, {64, 64}, {97, 333}, {1001, 3}, {20, 19}}) {
    const Result r = fit(plain({3, 31, 17}), {3, h, w}, [](int, int, int) { return 200; });
    for (const float v : r.values) ASSERT_NEAR(v, 200, 1e-3) << h << "x" << w;
  }
}

TEST(ImageFit, HalvingARampGivesTheRampOfTheMiddles) {
  const Result r = fit(plain({1, 50, 50}), {1, 100, 100}, [](int y, int x, int) { return y + x; });
  for (int y = 1; y < 49; ++y) {
    for (int x = 1; x < 49; ++x) {
      ASSERT_NEAR(r.at(0, y, x), (2 * y + 0.5) + (2 * x + 0.5), 1e-3);
    }
  }
}

TEST(ImageFit, DoublingARampGivesTheRampOfTheMiddles) {
  const Result r =
      fit(plain({1, 40, 40}), {1, 20, 20}, [](int y, int x, int) { return 4 * y + 8 * x; });
  for (int y = 1; y < 39; ++y) {
    for (int x = 1; x < 39; ++x) {
      ASSERT_NEAR(r.at(0, y, x), 4 * (y / 2.0 - .25) + 8 * (x / 2.0 - .25), 1e-3);
    }
  }
}

TEST(ImageFit, ShorterSideFitsAndTheMiddleIsKept) {
  const Result r = fit(plain({1, 32, 32}), {1, 64, 128}, [](int, int x, int) { return x; });
  for (int x = 0; x < 32; ++x) ASSERT_NEAR(r.at(0, 16, x), 32 + 2 * x + 0.5, 1e-3);
}

// Noise of (h, w) must become what the definition says at (24, 20).
void expect_definition(int h, int w) {
  const Result r = fit(plain({3, 24, 20}), {3, h, w}, noise);
  const double scale = std::max(24.0 / h, 20.0 / w);
  const auto tall = static_cast<int64_t>(std::max(24.0, std::floor(h * scale + 0.5)));
  const auto wide = static_cast<int64_t>(std::max(20.0, std::floor(w * scale + 0.5)));
  const double shrink_y = h / static_cast<double>(tall);
  const double shrink_x = w / static_cast<double>(wide);
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 24; i += 3) {
      for (int j = 0; j < 20; ++j) {
        const auto row_mean = [&](int64_t y) {
          const auto pixel = [&](int64_t x) {
            return noise(static_cast<int>(y), static_cast<int>(x), c);
          };
          return triangle_mean(pixel, w, shrink_x, static_cast<double>(j + (wide - 20) / 2));
        };
        const double wanted =
            triangle_mean(row_mean, h, shrink_y, static_cast<double>(i + (tall - 24) / 2));
        ASSERT_NEAR(r.at(c, i, j), wanted, 0.01) << h << "x" << w;
      }
    }
  }
}

TEST(ImageFit, AgreesWithTheDefinition) {
  expect_definition(227, 301);
  expect_definition(50, 41);
  expect_definition(13, 90);
  expect_definition(7, 5);
}

TEST(ImageFit, GreyBecomesThreeEqualChannels) {
  for (const int side : {4, 9}) {
    const Result r = fit(plain({3, 4, 4}), {1, side, side}, [](int, int, int) { return 31; });
    for (const float v : r.values) ASSERT_NEAR(v, 31, 1e-4);
  }
}

TEST(ImageFit, RgbBecomesLuma) {
  for (const int side : {4, 9}) {
    const Result r = fit(plain({1, 4, 4}), {3, side, side},
                         [](int, int, int c) { return c == 0 ? 100 : (c == 1 ? 200 : 50); });
    for (const float v : r.values) ASSERT_NEAR(v, 29.9 + 117.4 + 5.7, 1e-3);
  }
}

TEST(ImageFit, FlipMirrorsAboutHalf) {
  ImageRecipe recipe = plain({3, 6, 9});
  const Result straight = fit(recipe, {3, 14, 21}, noise);
  recipe.flip = true;
  int mirrored = 0;
  for (int example = 0; example < 200; ++example) {
    const Result r = fit(recipe, {3, 14, 21}, noise, 0, example);
    if (r.values == straight.values) continue;
    ++mirrored;
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 6; ++y) {
        for (int x = 0; x < 9; ++x) ASSERT_NEAR(r.at(c, y, x), straight.at(c, y, 8 - x), 1e-3);
      }
    }
  }
  EXPECT_GT(mirrored, 70);
  EXPECT_LT(mirrored, 130);
}

// Where the one white pixel of a 9x9 picture, in the middle, has gone; (-1, -1) when nowhere.
std::pair<int, int> white_pixel(const Result& r) {
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 9; ++x) {
      if (r.at(0, y, x) > 200) return {y, x};
    }
  }
  return {-1, -1};
}

TEST(ImageFit, CropMovesToEveryPlaceWithinThePad) {
  ImageRecipe recipe = plain({1, 9, 9});
  recipe.crop_pad = 2;
  std::set<std::pair<int, int>> places;
  for (int example = 0; example < 500; ++example) {
    const Result r = fit(
        recipe, {1, 9, 9}, [](int y, int x, int) { return y == 4 && x == 4 ? 255 : 50; }, 0,
        example);
    const auto [y, x] = white_pixel(r);
    places.insert({y, x});
    // What comes in from outside is black.
    for (int i = 0; i < 9; ++i) {
      const bool black = i < y - 4 || i >= 9 + y - 4;
      ASSERT_EQ(r.at(0, i, x) == 0, black);
    }
  }
  EXPECT_EQ(places.size(), 25u);
  EXPECT_EQ(*places.begin(), std::pair(2, 2));
  EXPECT_EQ(*places.rbegin(), std::pair(6, 6));
}

TEST(ImageFit, MovedResizeShowsTheSamePixels) {
  ImageRecipe recipe = plain({3, 8, 8});
  const Result still = fit(recipe, {3, 20, 24}, noise);
  recipe.crop_pad = 20;  // often wholly outside
  recipe.flip = true;
  std::set<float> allowed(still.values.begin(), still.values.end());
  allowed.insert(0);
  for (int example = 0; example < 200; ++example) {
    for (const float v : fit(recipe, {3, 20, 24}, noise, 0, example).values) {
      ASSERT_LT(std::abs(*std::min_element(
                             allowed.begin(), allowed.end(),
                             [v](float a, float b) { return std::abs(a - v) < std::abs(b - v); }) -
                         v),
                1e-3);
    }
  }
}

TEST(ImageFit, DrawsDependOnSeedEpochAndExampleOnly) {
  ImageRecipe recipe = plain({3, 16, 16});
  recipe.flip = true;
  recipe.crop_pad = 4;
  recipe.seed = 5;
  const auto run = [&](int64_t epoch, int64_t example) {
    return fit(recipe, {3, 16, 16}, noise, epoch, example).values;
  };
  const auto base = run(3, 11);
  EXPECT_EQ(run(3, 11), base);
  EXPECT_NE(run(4, 11), base);
  EXPECT_NE(run(3, 12), base);
  recipe.seed = 6;
  EXPECT_NE(run(3, 11), base);
}

TEST(ImageFit, DecoderMayShrinkToTwiceTheSize) {
  const ImageRecipe recipe = plain({3, 32, 32});
  const Scratch scratch(ImageFitter::scratch_bytes(recipe.image));
  const ImageFitter fitter(recipe, scratch.span());
  EXPECT_EQ(fitter.shrink(32, 32), 1);
  EXPECT_EQ(fitter.shrink(127, 500), 1);
  EXPECT_EQ(fitter.shrink(128, 500), 2);
  EXPECT_EQ(fitter.shrink(500, 256), 4);
  EXPECT_EQ(fitter.shrink(9000, 9000), 8);
}

}  // namespace
}  // namespace thimble::data_test
