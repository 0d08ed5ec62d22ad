# The Android demo, without Gradle and without Google's Maven repository: `make android`. The
# modules are those of toolchain/modules.py, the tools those of toolchain/tools.py.

ANDROID := build/android
CHAIN := android_demo/toolchain
TOOLCHAIN = "$(PYTHON)" -m android_demo.toolchain

# The sources of a module, by its folder.
kotlin_of = $(shell find android_demo/$(1) -name '*.kt' 2>/dev/null)

.PHONY: android android-lint android-core android-engine android-app

# The app needs Android's API, which only an old release of Debian has. Where that is gone, CI checks
# the rest (ANDROID_WITHOUT_APP=1) and says so.
android: android-lint android-core android-engine $(if $(ANDROID_WITHOUT_APP),,android-app)
	@$(TOOLCHAIN).report

# --- tools: a stamp for each place that they come from ---
ANDROID_TOOLS := $(ANDROID)/tools/.npm $(ANDROID)/tools/.wheels $(ANDROID)/tools/.debian

$(ANDROID)/tools/.%: $(CHAIN)/tools.py $(CHAIN)/wheels.txt
	@echo "Fetching the Android demo's tools: $*."
	@mkdir -p $(@D)
	$(TOOLCHAIN).fetch $*
	@touch $@

# --- for the JVM ---
android-lint: $(ANDROID)/.lint
android-core: $(ANDROID)/.core-tested
android-engine: $(ANDROID)/.engine-tested

$(ANDROID)/.lint: $(call kotlin_of,.) $(wildcard android_demo/*.kts android_demo/*/*.kts) \
		android_demo/.editorconfig | $(ANDROID_TOOLS)
	$(TOOLCHAIN).kotlin lint
	@touch $@

# Against Android's API, unless that is not to be had.
$(ANDROID)/core.jar: $(call kotlin_of,core/src/main) \
		| $(if $(ANDROID_WITHOUT_APP),,$(ANDROID)/tools/.platform)
$(ANDROID)/core-test.jar: $(call kotlin_of,core/src/test) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm.jar: $(call kotlin_of,engine-jvm/src/main) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm-test.jar: $(call kotlin_of,engine-jvm/src/test) $(ANDROID)/engine-jvm.jar

$(ANDROID)/%.jar: $(CHAIN)/modules.py $(CHAIN)/kotlin.py | $(ANDROID_TOOLS)
	$(TOOLCHAIN).kotlin compile $*

$(ANDROID)/.core-tested: $(ANDROID)/core-test.jar
	$(TOOLCHAIN).kotlin test core-test
	@touch $@

$(ANDROID)/.engine-tested: $(ANDROID)/engine-jvm-test.jar $(ANDROID)/.expected
	$(TOOLCHAIN).kotlin test engine-jvm-test
	@touch $@

# --- the model that the app starts with ---
FASHION_MNIST := $(ANDROID)/models/fashion_mnist

# Exported, not kept in the repository: it would be out of date after each change of the exporter.
$(FASHION_MNIST).tflite: $(wildcard conversion/*.py keras_fastvit/*.py keras_fastvit/data/*) \
		| $(VENV)/.demo
	@mkdir -p $(@D)
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m conversion.export_tflite \
		--model fastvit_t8 --weights fashion_mnist --quantize int8 \
		--calibration demo_images/fashion_mnist --output $@

$(ANDROID)/.expected: $(FASHION_MNIST).tflite $(CHAIN)/expected_logits.py
	$(RUN) -m android_demo.toolchain.expected_logits $<
	@touch $@

# --- the app ---
android-app: $(ANDROID)/app.apk

$(ANDROID)/stubs.jar: $(call kotlin_of,toolchain/stubs) | $(ANDROID)/tools/.platform
$(ANDROID)/app.jar: $(call kotlin_of,app/src) $(ANDROID)/resources.apk \
		$(ANDROID)/core.jar $(ANDROID)/stubs.jar

$(ANDROID)/resources.apk: $(FASHION_MNIST).tflite android_demo/app/src/main/AndroidManifest.xml \
		$(shell find android_demo/app/src/main/res -type f 2>/dev/null) \
		| $(ANDROID_TOOLS) $(ANDROID)/tools/.platform
	$(TOOLCHAIN).apk resources

$(ANDROID)/app.apk: $(ANDROID)/app.jar $(CHAIN)/apk.py $(CHAIN)/api_levels.py \
		$(CHAIN)/api_types.py android_demo/app/rules.pro
	$(TOOLCHAIN).apk assemble
